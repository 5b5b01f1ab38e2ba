//! Kills, stops and starts the processes of a system, and reads their logs.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};

use super::program::run_in;
use super::{Process, Service, System, WAIT_LIMIT, eventually, run_to_end};
use crate::stack::Ending;

impl System {
    /// The processes of a service.
    ///
    /// # Errors
    /// When the system has none: a broker of the pool is not its own.
    fn processes(&self, service: Service) -> Result<Vec<Process>> {
        let processes = self.stack.processes(service);
        ensure!(
            !processes.is_empty(),
            "the system has no {service} of its own; System::start_with_own_broker starts one with its broker"
        );
        Ok(processes)
    }

    /// Kills every process of a service with SIGKILL and waits until the stack has restarted them and they are ready.
    ///
    /// # Errors
    /// When the system has none, or one does not restart.
    pub async fn kill(&self, service: Service) -> Result<()> {
        let processes = self.processes(service)?;
        let restarts = |process: &Process| self.stack.state(*process).restarts;
        let before: Vec<u32> = processes.iter().map(restarts).collect();
        for process in &processes {
            self.stack.kill(*process).await?;
        }
        for (process, before) in processes.iter().zip(before) {
            self.is_back(*process, before).await?;
        }
        Ok(())
    }

    /// Kills one process with SIGKILL and waits until the stack has restarted it and it is ready again.
    ///
    /// # Errors
    /// When it does not restart.
    pub async fn kill_process(&self, process: Process) -> Result<()> {
        let before = self.stack.state(process).restarts;
        self.stack.kill(process).await?;
        self.is_back(process, before).await
    }

    /// Kills one process with SIGKILL and keeps it down.
    ///
    /// # Errors
    /// When it was not running.
    pub async fn kill_for_good(&self, process: Process) -> Result<()> {
        let ending = self.stack.kill_for_good(process).await;
        ending
            .map(drop)
            .with_context(|| format!("{process} was not running"))
    }

    /// Runs a subcommand of a service of the pair with the settings of its replicas; fails if the subcommand fails.
    ///
    /// # Errors
    /// When its exit code is not 0.
    pub async fn run(&self, service: Service, subcommand: &str) -> Result<String> {
        let settings = self.stack.settings(service);
        let settings: Vec<(&str, &str)> = settings
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let output = run_to_end(service, &[subcommand], &settings).await?;
        let said = String::from_utf8([output.stdout, output.stderr].concat())?;
        ensure!(output.status.success(), "{service} {subcommand}: {said}");
        Ok(said)
    }

    /// Runs `dead-letters` of a service with the settings of its replicas, as an operator does.
    ///
    /// # Errors
    /// When it cannot be run or does not end.
    pub async fn dead_letters(&self, service: Service, arguments: &[&str]) -> Result<Output> {
        let arguments = [&["dead-letters"], arguments].concat();
        self.operate(service, &arguments).await
    }

    /// Runs a command of a service with the settings of its replicas, as an operator does.
    ///
    /// # Errors
    /// When it cannot be run or does not end.
    pub async fn operate(&self, service: Service, arguments: &[&str]) -> Result<Output> {
        let settings = self.stack.settings(service);
        let settings: Vec<(&str, &str)> = settings
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        run_in(self.home.path(), service, arguments, &settings).await
    }

    /// Waits until one process is ready.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub async fn until_ready(&self, process: Process) -> Result<()> {
        tokio::time::timeout(WAIT_LIMIT, self.stack.until_ready(process))
            .await
            .with_context(|| format!("{process} does not become ready"))
    }

    /// Waits until the log of a process contains this text.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn logs(&self, process: Process, text: &str) -> Result<()> {
        eventually(&format!("{process} logs {text:?}"), async || {
            Ok(self.log_of(process)?.contains(text).then_some(()))
        })
        .await
    }

    async fn is_back(&self, process: Process, restarts_before: u32) -> Result<()> {
        eventually(&format!("{process} is restarted"), async || {
            let restarted = self.stack.state(process).restarts > restarts_before;
            Ok(restarted.then_some(()))
        })
        .await?;
        tokio::time::timeout(WAIT_LIMIT, self.stack.until_ready(process))
            .await
            .with_context(|| format!("{process} is not ready again after a kill"))
    }

    /// Stops all processes of a service concurrently and keeps them down. Returns the worst of their endings.
    ///
    /// # Errors
    /// When the system has none, or none was running.
    pub async fn stop(&self, service: Service) -> Result<Ending> {
        self.processes(service)?;
        let endings = self.stack.stop_service(service).await;
        let worst = endings
            .into_iter()
            .map(|(_, ending)| ending)
            .min_by_key(Ending::is_clean);
        worst.with_context(|| format!("{service} was not running"))
    }

    /// Starts the stopped replicas of a service and waits until they are ready.
    ///
    /// # Errors
    /// When the system has none, or one does not become ready.
    pub async fn restart(&self, service: Service) -> Result<()> {
        self.processes(service)?;
        Ok(self.stack.start_service(service).await?)
    }

    /// The concatenated logs of the processes of a service.
    ///
    /// # Errors
    /// When the system has none, or a log cannot be read.
    pub fn log(&self, service: Service) -> Result<String> {
        let processes = self.processes(service)?.into_iter();
        let logs = processes.map(|process| self.log_of(process));
        Ok(logs.collect::<Result<Vec<_>>>()?.concat())
    }

    /// The log of a process.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn log_of(&self, process: Process) -> Result<String> {
        let path = self.stack.log_file(process);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}
