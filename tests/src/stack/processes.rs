//! Starts, kills, freezes and stops the processes of a running stack, singly or per service.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use nix::sys::signal::Signal;

use super::data_directory::tail;
use super::launches::SHUTDOWN_GRACE_SECONDS;
use super::supervisor::Supervised;
use super::{Ending, Process, ProcessPhase, ProcessState, Service, Stack, StackError, readiness};

/// Startup takes well under a second; a debug build on a busy machine takes longer.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Time beyond the shutdown grace of a service before it is killed.
const SERVICE_STOP: Duration = Duration::from_secs(SHUTDOWN_GRACE_SECONDS + 5);

/// The embedded broker waits up to 5 s for connections that clients keep open; the last checkpoint of PostgreSQL and the
/// logs of Kafka take a busy machine as long.
const SERVER_STOP: Duration = Duration::from_secs(30);

impl Stack {
    /// Every process, in stop order.
    pub fn all_processes(&self) -> impl Iterator<Item = Process> {
        self.processes.keys().copied()
    }

    /// The processes of a service; empty for an external one. Of the PostgreSQL servers only the primary.
    pub fn processes(&self, service: Service) -> Vec<Process> {
        if let (Service::Database, Some(postgres)) = (service, &self.postgres) {
            return vec![postgres.primary()];
        }
        self.all_processes()
            .filter(|process| process.service == service)
            .collect()
    }

    /// Fails the PostgreSQL server over behind its proxy: starts a standby as a copy of the primary, makes the primary
    /// read-only, promotes the standby when it has all commits, and forwards new connections to it. The former primary
    /// goes on with its open connections, until the next failover or the end of the stack.
    ///
    /// A stack cannot be started again on the data directory afterwards: it would serve the former primary.
    ///
    /// # Errors
    /// When the stack has no proxy before a PostgreSQL server, or a server fails.
    pub async fn fail_over(&self) -> Result<(), StackError> {
        let proxy = self.proxies.as_ref().and_then(|all| all.database.as_ref());
        let (Some(postgres), Some(proxy)) = (&self.postgres, proxy) else {
            return Err(StackError::NoStandby);
        };
        let standby = postgres.standby()?;
        // After an earlier failover this is the former primary.
        self.stop_process(standby).await;
        postgres.copy_primary().await?;
        self.start_process(standby).await?;
        proxy.forward_to(postgres.promote_standby().await?);
        Ok(())
    }

    /// The state of a process. A process that is not part of the stack is always down.
    pub fn state(&self, process: Process) -> ProcessState {
        self.processes
            .get(&process)
            .map_or_else(ProcessState::default, Supervised::state)
    }

    /// Restarts of all processes.
    pub fn restarts(&self) -> u32 {
        self.processes
            .values()
            .map(|process| process.state().restarts)
            .sum()
    }

    /// Kills a process with SIGKILL; it is restarted as after any other death.
    ///
    /// # Errors
    /// When it is not part of the stack.
    pub async fn kill(&self, process: Process) -> Result<(), StackError> {
        self.signal(process, Signal::SIGKILL).await
    }

    /// Kills a process with SIGKILL and keeps it down. `None` when it was not running.
    pub async fn kill_for_good(&self, process: Process) -> Option<Ending> {
        self.processes.get(&process)?.kill_for_good().await
    }

    /// Freezes a process with SIGSTOP: it keeps its connections and does nothing.
    ///
    /// # Errors
    /// When it is not part of the stack.
    pub async fn pause(&self, process: Process) -> Result<(), StackError> {
        self.signal(process, Signal::SIGSTOP).await
    }

    /// Resumes a frozen process with SIGCONT.
    ///
    /// # Errors
    /// When it is not part of the stack.
    pub async fn resume(&self, process: Process) -> Result<(), StackError> {
        self.signal(process, Signal::SIGCONT).await
    }

    async fn signal(&self, process: Process, signal: Signal) -> Result<(), StackError> {
        self.supervised(process)?.signal(signal).await;
        Ok(())
    }

    fn supervised(&self, process: Process) -> Result<&Supervised, StackError> {
        let supervised = self.processes.get(&process);
        supervised.ok_or(StackError::NoSuchProcess { process })
    }

    /// Starts the processes of a service that are down and returns when all are ready.
    ///
    /// # Errors
    /// When one cannot be started, ends, or does not become ready in time.
    pub async fn start_service(&self, service: Service) -> Result<(), StackError> {
        let processes = self.processes(service).into_iter();
        try_join_all(processes.map(|process| self.start_process(process))).await?;
        Ok(())
    }

    /// Starts a process that is down and returns when it is ready.
    ///
    /// # Errors
    /// When it is not part of the stack, cannot be started, ends, or does not become ready in time.
    pub async fn start_process(&self, process: Process) -> Result<(), StackError> {
        self.launch(process).await?;
        self.ready(process, self.supervised(process)?).await
    }

    /// Starts a process that is down without waiting until it is ready.
    ///
    /// # Errors
    /// When it is not part of the stack, or cannot be started.
    pub async fn launch(&self, process: Process) -> Result<(), StackError> {
        self.launch_once_with(process, Vec::new()).await
    }

    /// As [`Stack::launch`], with environment variables for this start only: a restart after a crash does not get them.
    ///
    /// # Errors
    /// When it is not part of the stack, or cannot be started.
    pub async fn launch_once_with(
        &self,
        process: Process,
        environment: Vec<(String, String)>,
    ) -> Result<(), StackError> {
        self.supervised(process)?
            .start(environment)
            .await
            .map_err(|source| StackError::Spawn { process, source })
    }

    /// Waits until a process is ready. An exit on the way is a failure: at start it has nothing to recover from.
    async fn ready(&self, process: Process, supervised: &Supervised) -> Result<(), StackError> {
        let mut state = supervised.watch();
        let event = tokio::select! {
            () = self.until_ready(process) => return Ok(()),
            _ = state.wait_for(|state| state.phase != ProcessPhase::Running) => "ended while starting",
            () = tokio::time::sleep(READY_WITHIN) => "is not ready in time",
        };
        let log = self.log_file(process);
        Err(StackError::NotReady {
            process,
            event,
            tail: tail(&log),
            log,
        })
    }

    /// Waits until a process is ready, without a timeout of its own.
    pub async fn until_ready(&self, process: Process) {
        match process.service {
            Service::Orders | Service::Processing => {
                readiness::service(self.addresses.grpc(process)).await;
            }
            Service::Broker => readiness::broker(&self.addresses.kafka).await,
            Service::Database => {
                if let Some(postgres) = &self.postgres {
                    readiness::database(postgres, process).await;
                }
            }
        }
    }

    /// Whether a process of the pair reports ready.
    pub async fn is_ready(&self, process: Process) -> bool {
        readiness::is_serving(self.addresses.grpc(process)).await
    }

    /// Stops the processes of a service concurrently, keeps them down, and returns how each running one ended.
    pub async fn stop_service(&self, service: Service) -> Vec<(Process, Ending)> {
        let processes = self.processes(service).into_iter();
        let stops =
            processes.map(async |process| Some((process, self.stop_process(process).await?)));
        join_all(stops).await.into_iter().flatten().collect()
    }

    /// Stops one process and keeps it down. `None` when it was not running.
    pub async fn stop_process(&self, process: Process) -> Option<Ending> {
        let grace = match process.service {
            Service::Orders | Service::Processing => SERVICE_STOP,
            Service::Broker | Service::Database => SERVER_STOP,
        };
        self.processes.get(&process)?.stop(grace).await
    }
}
