//! The whole system on one machine: a broker, a database and both services as supervised child processes.
//!
//! ```text
//! Stack::start   lock the data directory → end orphans → check the ports → broker, database → topics, schemas
//!                → every replica of both services → ready
//!    running     a child that dies is restarted on the same data and the same port, and counted
//! Stack::stop    order-service → processing-service → broker → database: SIGTERM, a deadline, SIGKILL
//! ```
//!
//! | | embedded | production |
//! |---|---|---|
//! | broker | `embedded-broker` on a SQLite file | Apache Kafka, one node |
//! | database | a SQLite file per service | a PostgreSQL server, a database per service |
//! | replicas | one of each service | as many as asked for |
//!
//! Guarantees: a start that fails stops what it had started and leaves the data directory as usable as before; the next
//! start on a data directory continues from it, however the last stack ended.
//!
//! Reading order: `config` and `engines` (the settings), `service` (the processes), `data_directory` and `ports` (the
//! locks), `launches` and `process` (how a child is started and recognised), `apache_kafka`, `tls` and `database`
//! (the servers), `proxies`, `supervisor` and `processes` (restarts and control), `readiness`, `subcommands`, [`up`]
//! and [`broker`] (the commands).
//!
//! One replica on the embedded engines, because the groups of that broker work reliably with one member only, and a
//! SQLite file has one owner.

mod apache_kafka;
pub mod broker;
mod config;
mod consumer_lag;
mod data_directory;
mod database;
mod engines;
mod error;
pub(crate) mod interrupt;
mod launches;
mod options;
mod ports;
mod process;
mod processes;
mod programs;
mod proxies;
mod readiness;
mod service;
mod status;
mod subcommands;
mod supervisor;
mod tls;
mod tool;
pub mod up;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use auditor::database::{Database, Databases};
use tokio::sync::broadcast;
use tokio::time::timeout;

use apache_kafka::ApacheKafka;
use data_directory::DataDirectory;
use database::StackPostgres;
use launches::Launches;
use ports::Ports;
use supervisor::Supervised;

pub use apache_kafka::has_apache_kafka;
pub use config::{CatalogueSource, StackAddresses, StackConfig};
pub(crate) use consumer_lag::ConsumerLag;
pub use engines::{BrokerEngine, DatabaseEngine, Engines};
pub use error::StackError;
pub use options::StackOptions;
pub use programs::programs_directory;
pub use proxies::Proxies;
pub use service::{Process, Service};
pub use status::{Ending, Notice, ProcessPhase, ProcessState};
pub use tls::make_authority;

/// Capacity of the channel; notices are rare.
const NOTICES: usize = 64;

/// A running stack. Stop it with [`Stack::stop`]; a stack that is dropped kills its children.
#[derive(Debug)]
pub struct Stack {
    config: StackConfig,
    directory: DataDirectory,
    addresses: StackAddresses,
    _ports: Ports,
    catalogue: PathBuf,
    apache_kafka: Option<ApacheKafka>,
    postgres: Option<StackPostgres>,
    proxies: Option<Proxies>,
    processes: BTreeMap<Process, Supervised>,
    notices: broadcast::Sender<Notice>,
}

impl Stack {
    /// Starts everything and returns when everything is ready.
    ///
    /// # Errors
    /// See [`StackError`]; all started processes are stopped again.
    pub async fn start(config: StackConfig) -> Result<Self, StackError> {
        config.engines.check()?;
        let directory = DataDirectory::open(&config.data_dir)?;
        process::end_in_flight(&directory).await?;
        let mut ports = Ports::new()?;
        let addresses = config.choose_addresses(&mut ports).await?;
        let stack = Self::prepare(config, directory, (addresses, ports)).await?;
        match stack.bring_up().await {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    async fn prepare(
        config: StackConfig,
        directory: DataDirectory,
        (addresses, ports): (StackAddresses, Ports),
    ) -> Result<Self, StackError> {
        let catalogue = match &config.catalogue {
            CatalogueSource::File(path) => readable(path)?,
            CatalogueSource::Text(text) => directory.write_catalogue(text)?,
        };
        let apache_kafka = match config.engines.broker {
            BrokerEngine::Apache => {
                Some(ApacheKafka::prepare(&config, directory.root(), &addresses).await?)
            }
            BrokerEngine::Embedded | BrokerEngine::External(_) => None,
        };
        let postgres = match addresses.database {
            Some(address) => {
                let standby = addresses.standby;
                Some(StackPostgres::open(directory.root(), address, standby).await?)
            }
            None => None,
        };
        let proxies = match &addresses.proxied {
            Some(proxied) => Some(Proxies::start(proxied).await.map_err(StackError::Proxy)?),
            None => None,
        };
        let mut stack = Self {
            config,
            directory,
            addresses,
            _ports: ports,
            catalogue,
            apache_kafka,
            postgres,
            proxies,
            processes: BTreeMap::new(),
            notices: broadcast::Sender::new(NOTICES),
        };
        stack.processes = stack.supervise()?;
        Ok(stack)
    }

    fn supervise(&self) -> Result<BTreeMap<Process, Supervised>, StackError> {
        let programs = programs_directory();
        let launches = self.launches(&programs);
        let processes = self.config.processes().into_iter();
        processes
            .map(|process| {
                let launch = launches.of(process)?;
                Ok((process, Supervised::new(launch, self.notices.clone())))
            })
            .collect()
    }

    fn launches<'a>(&'a self, programs: &'a Path) -> Launches<'a> {
        Launches {
            config: &self.config,
            directory: &self.directory,
            addresses: &self.addresses,
            programs,
            catalogue: &self.catalogue,
            apache_kafka: self.apache_kafka.as_ref(),
            postgres: self.postgres.as_ref(),
        }
    }

    async fn bring_up(&self) -> Result<(), StackError> {
        tokio::try_join!(self.bring_up_broker(), self.bring_up_database())?;
        if !self.config.services_are_started {
            return Ok(());
        }
        self.make_topics_and_schemas().await?;
        tokio::try_join!(
            self.start_service(Service::Processing),
            self.start_service(Service::Orders),
        )?;
        Ok(())
    }

    async fn bring_up_broker(&self) -> Result<(), StackError> {
        if let BrokerEngine::External(address) = &self.config.engines.broker {
            return timeout(Duration::from_secs(10), readiness::broker(address))
                .await
                .map_err(|_| StackError::NoBroker {
                    address: address.clone(),
                });
        }
        self.start_service(Service::Broker).await
    }

    async fn bring_up_database(&self) -> Result<(), StackError> {
        self.start_service(Service::Database).await?;
        match &self.postgres {
            Some(postgres) => postgres.ensure_databases().await,
            None => Ok(()),
        }
    }

    /// Runs the subcommands of the services that create topics and schemas, as before a first start.
    ///
    /// # Errors
    /// When a subcommand fails.
    pub async fn make_topics_and_schemas(&self) -> Result<(), StackError> {
        subcommands::run(&self.launches(&programs_directory())).await
    }

    pub fn addresses(&self) -> &StackAddresses {
        &self.addresses
    }

    pub fn proxies(&self) -> Option<&Proxies> {
        self.proxies.as_ref()
    }

    /// The settings that another stack needs on this stack's broker.
    pub fn broker_settings(&self) -> Vec<(String, String)> {
        self.config.engines.broker.settings()
    }

    /// KAFKA_TOPIC_PREFIX of both services.
    pub fn topic_prefix(&self) -> &str {
        &self.config.topic_prefix
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.directory.root()
    }

    /// The settings shared by the replicas of a service of the pair, as environment variables.
    pub fn settings(&self, service: Service) -> Vec<(String, String)> {
        self.launches(&programs_directory()).settings(service)
    }

    pub fn databases(&self) -> Databases {
        Databases {
            orders: self.database(Service::Orders),
            processing: self.database(Service::Processing),
        }
    }

    pub fn database(&self, service: Service) -> Database {
        match &self.postgres {
            Some(postgres) => Database::Postgres(postgres.url(service)),
            None => Database::Sqlite(self.data_dir().join(format!("{service}.db"))),
        }
    }

    /// The pid of a process: of the one that was started last, if it does not run.
    ///
    /// # Errors
    /// When it was never started.
    pub fn pid(&self, process: Process) -> anyhow::Result<u32> {
        let file = self.directory.process_file(process);
        let pid = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        Ok(pid.trim().parse()?)
    }

    pub fn log_file(&self, process: Process) -> PathBuf {
        self.directory.log_file(process)
    }

    /// Subscribes to process exits and restarts from now on.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Stops everything in order and returns how each running process ended.
    pub async fn stop(self) -> Vec<(Process, Ending)> {
        self.stop_all().await
    }

    /// As [`Stack::stop`], for a stack that is shared; nobody may start a process meanwhile.
    pub async fn stop_all(&self) -> Vec<(Process, Ending)> {
        let mut endings = Vec::new();
        for service in Service::IN_STOP_ORDER {
            endings.extend(self.stop_service(service).await);
        }
        if let Some(former) = self.postgres.as_ref().and_then(|all| all.standby().ok()) {
            let ending = self.stop_process(former).await;
            endings.extend(ending.map(|ending| (former, ending)));
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
