//! The whole system on one machine: the embedded broker and both services as supervised child processes on SQLite files.
//!
//! ```text
//! Stack::start   lock the data directory → end leftovers → check the ports → broker → topics → both services → ready
//!    running     a child that dies is restarted on the same data and the same port, and counted
//! Stack::stop    order-service → processing-service → broker: SIGTERM, a deadline, SIGKILL
//! ```
//!
//! Guarantees: a start that fails stops what it had started and leaves the data directory as usable as before; the next
//! start on a data directory continues from it, however the last stack ended.
//!
//! Reading order: `config` (what it is told), `data_directory` and `ports` (what must be free), `launches` and
//! `process` (how a child is started and recognised), `supervisor` (how it is kept alive), `readiness`, `topics`,
//! [`up`] (the command).
//!
//! One replica of each service, because the embedded broker's groups are dependable with one member only.

mod config;
mod data_directory;
mod error;
pub(crate) mod interrupt;
mod launches;
mod options;
mod ports;
mod process;
mod readiness;
mod status;
mod supervisor;
mod topics;
pub mod up;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::timeout;

use data_directory::DataDirectory;
use launches::{Launches, SHUTDOWN_GRACE_SECONDS};
use supervisor::Supervised;

pub use config::{Addresses, CatalogueSource, StackConfig};
pub use error::StackError;
pub use launches::programs_directory;
pub use options::StackOptions;
pub use process::Process;
pub use status::{Ending, Notice, Phase, State};
pub use topics::TopicsError;

/// Start to ready takes well under a second; a debug build on a machine that compiles something else takes longer.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What a service needs beyond its own shutdown grace before it is killed.
const SERVICE_STOP: Duration = Duration::from_secs(SHUTDOWN_GRACE_SECONDS + 5);

/// The broker waits up to 5 s for connections that clients keep open.
const BROKER_STOP: Duration = Duration::from_secs(8);

/// Notices kept for a listener that is slow; there are few.
const NOTICES: usize = 64;

/// Lines of a log shown when its process does not come up.
const LOG_TAIL_LINES: usize = 15;

/// A running stack. Stop it with [`Stack::stop`]; a stack that is dropped kills its children.
#[derive(Debug)]
pub struct Stack {
    directory: DataDirectory,
    addresses: Addresses,
    processes: BTreeMap<Process, Supervised>,
    notices: broadcast::Sender<Notice>,
}

impl Stack {
    /// Starts everything and returns when everything is ready.
    ///
    /// # Errors
    /// As [`StackError`] lists them; whatever had been started is stopped again.
    pub async fn start(config: StackConfig) -> Result<Self, StackError> {
        let directory = DataDirectory::open(&config.data_dir)?;
        process::end_leftovers(&directory).await?;
        let addresses = config.choose_addresses()?;
        let stack = Self::prepare(&config, directory, addresses)?;
        match stack.bring_up().await {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    fn prepare(
        config: &StackConfig,
        directory: DataDirectory,
        addresses: Addresses,
    ) -> Result<Self, StackError> {
        let catalogue = match &config.catalogue {
            CatalogueSource::File(path) => readable(path)?,
            CatalogueSource::Text(text) => directory.write_catalogue(text)?,
        };
        let launches = Launches {
            config,
            directory: &directory,
            addresses: &addresses,
            programs: &programs_directory(),
            catalogue: &catalogue,
        };
        let notices = broadcast::Sender::new(NOTICES);
        let mut processes = BTreeMap::new();
        for process in Process::IN_STOP_ORDER {
            if process == Process::Broker && config.kafka.is_some() {
                continue;
            }
            let supervised = Supervised::new(launches.of(process)?, notices.clone());
            processes.insert(process, supervised);
        }
        Ok(Self {
            directory,
            addresses,
            processes,
            notices,
        })
    }

    async fn bring_up(&self) -> Result<(), StackError> {
        let copies = if self.processes.contains_key(&Process::Broker) {
            self.start_process(Process::Broker).await?;
            topics::Copies::One
        } else {
            self.reach_external_broker().await?;
            topics::Copies::BrokerDefault
        };
        topics::create(&self.addresses.kafka, copies).await?;
        tokio::try_join!(
            self.start_process(Process::Processing),
            self.start_process(Process::Orders),
        )?;
        Ok(())
    }

    async fn reach_external_broker(&self) -> Result<(), StackError> {
        let address = &self.addresses.kafka;
        timeout(Duration::from_secs(10), readiness::broker(address))
            .await
            .map_err(|_| StackError::NoBroker {
                address: address.clone(),
            })
    }

    /// Where the processes listen.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The directory that holds everything.
    pub fn data_dir(&self) -> &Path {
        self.directory.root()
    }

    /// The database file of a service.
    pub fn database(&self, process: Process) -> PathBuf {
        self.data_dir().join(format!("{process}.db"))
    }

    /// The log file of a process.
    pub fn log_file(&self, process: Process) -> PathBuf {
        self.directory.log_file(process)
    }

    /// Hears about every death and restart from now on.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// What a process does at the moment. A broker that is not the stack's own is always down.
    pub fn state(&self, process: Process) -> State {
        self.processes
            .get(&process)
            .map_or_else(State::default, Supervised::state)
    }

    /// How many restarts there were over all processes.
    pub fn restarts(&self) -> u32 {
        self.processes
            .values()
            .map(|process| process.state().restarts)
            .sum()
    }

    /// Kills a process with SIGKILL; it is restarted as after any other death.
    pub async fn kill(&self, process: Process) {
        if let Some(supervised) = self.processes.get(&process) {
            supervised.kill().await;
        }
    }

    /// Starts a process that is down and returns when it is ready.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not become ready in time.
    pub async fn start_process(&self, process: Process) -> Result<(), StackError> {
        let Some(supervised) = self.processes.get(&process) else {
            return Ok(());
        };
        supervised
            .start()
            .await
            .map_err(|source| StackError::Spawn { process, source })?;
        self.ready(process, supervised).await
    }

    /// Waits until a process is ready. A death on the way is a failure: at start it has nothing to recover from.
    async fn ready(&self, process: Process, supervised: &Supervised) -> Result<(), StackError> {
        let mut state = supervised.watch();
        let what = tokio::select! {
            () = self.until_ready(process) => return Ok(()),
            _ = state.wait_for(|state| state.phase != Phase::Running) => "ended while starting",
            () = tokio::time::sleep(READY_WITHIN) => "is not ready in time",
        };
        let log = self.log_file(process);
        Err(StackError::NotReady {
            process,
            what,
            tail: tail(&log),
            log,
        })
    }

    /// Asks a process whether it is ready until it is; how long to wait is the caller's business.
    pub async fn until_ready(&self, process: Process) {
        match process {
            Process::Orders => readiness::service(self.addresses.orders).await,
            Process::Processing => readiness::service(self.addresses.processing).await,
            Process::Broker => readiness::broker(&self.addresses.kafka).await,
        }
    }

    /// Stops one process and keeps it down. `None` when it was not running.
    pub async fn stop_process(&self, process: Process) -> Option<Ending> {
        let grace = match process {
            Process::Orders | Process::Processing => SERVICE_STOP,
            Process::Broker => BROKER_STOP,
        };
        self.processes.get(&process)?.stop(grace).await
    }

    /// Stops everything in order and says how each running process ended.
    pub async fn stop(self) -> Vec<(Process, Ending)> {
        let mut endings = Vec::new();
        for process in Process::IN_STOP_ORDER {
            if let Some(ending) = self.stop_process(process).await {
                endings.push((process, ending));
            }
        }
        endings
    }
}

fn readable(path: &Path) -> Result<PathBuf, StackError> {
    path.canonicalize()
        .map_err(|source| StackError::DataDirectory {
            path: path.to_owned(),
            source,
        })
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}
