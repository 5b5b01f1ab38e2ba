//! Begins and ends faults on a running stack.

use anyhow::{Context as _, Result, ensure};
use proto::topics::ORDER_EVENTS;

use super::fault::ChaosFault;
use super::plan::FaultStep;
use crate::audit::deletion::delete_records;
use crate::proxy::{self, Proxy};
use crate::replay::Trouble;
use crate::stack::{Ending, Process, Service, Stack};
use crate::system::run_to_end;

/// Failing payments per thousand orders: in normal operation, and while that is the fault.
const TROUBLE: u32 = 80;
const MUCH_TROUBLE: u32 = 600;

/// An operator publishes the events of all open orders again.
const REPUBLISH: [&str; 6] = [
    "orders",
    "republish",
    "--open-for",
    "0s",
    "--per-second",
    "1000",
];

/// Begins and ends faults.
#[derive(Debug)]
pub(super) struct Saboteur<'a> {
    pub(super) stack: &'a Stack,
    pub(super) trouble: &'a Trouble,
}

impl Saboteur<'_> {
    /// Sets the faults that are active during the whole run.
    pub(super) fn prepare(&self) {
        self.trouble.set(TROUBLE);
    }

    /// Begins a fault. Returns unexpected events, one sentence each.
    pub(super) async fn begin(&self, step: &FaultStep) -> Result<Vec<String>> {
        match step.fault {
            ChaosFault::Kill(service) => self.kill(service, step).await?,
            ChaosFault::KillAll(service) => {
                for process in self.stack.processes(service) {
                    self.stack.kill(process).await?;
                }
            }
            ChaosFault::Freeze(service) => self.stack.pause(self.process(service, step)?).await?,
            ChaosFault::Stop(service) | ChaosFault::Scale(service) => {
                return Ok(self.stop(self.process(service, step)?).await);
            }
            ChaosFault::FailOver => self.stack.fail_over().await?,
            ChaosFault::Line(server, fault) => self.proxy(server)?.set(fault),
            ChaosFault::DeleteRecords => return Ok(self.stop_all(Service::Processing).await),
            ChaosFault::Payments => self.trouble.set(MUCH_TROUBLE),
            ChaosFault::Echo(..) | ChaosFault::Foreign => {}
        }
        Ok(Vec::new())
    }

    /// Reverts the fault; recovery takes additional time.
    pub(super) async fn end(&self, step: &FaultStep) -> Result<()> {
        match step.fault {
            ChaosFault::Freeze(service) => self.stack.resume(self.process(service, step)?).await?,
            ChaosFault::Stop(service) | ChaosFault::Scale(service) => {
                self.stack.launch(self.process(service, step)?).await?;
            }
            ChaosFault::Line(server, _) => self.proxy(server)?.set(proxy::NetworkFault::Pass),
            ChaosFault::DeleteRecords => self.delete_records().await?,
            ChaosFault::Payments => self.trouble.set(TROUBLE),
            // After a failover the former primary goes on while the recovery is awaited.
            ChaosFault::Kill(_)
            | ChaosFault::KillAll(_)
            | ChaosFault::FailOver
            | ChaosFault::Echo(..)
            | ChaosFault::Foreign => {}
        }
        Ok(())
    }

    /// Deletes the orders' events while no consumer reads them, and publishes those of open orders again.
    async fn delete_records(&self) -> Result<()> {
        let group = Service::Processing.name();
        delete_records(self.stack, ORDER_EVENTS, group).await?;
        self.stack.start_service(Service::Processing).await?;
        let settings = self.stack.settings(Service::Orders);
        let settings: Vec<(&str, &str)> = settings
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let output = run_to_end(Service::Orders, &REPUBLISH, &settings).await?;
        let said = String::from_utf8([output.stdout, output.stderr].concat())?;
        ensure!(output.status.success(), "{}: {said}", output.status);
        Ok(())
    }

    /// Kills a replica.
    pub(super) async fn kill(&self, service: Service, step: &FaultStep) -> Result<()> {
        Ok(self.stack.kill(self.process(service, step)?).await?)
    }

    async fn stop(&self, process: Process) -> Vec<String> {
        // A process that has not installed its signal handlers yet would be killed by the first signal.
        self.stack.until_ready(process).await;
        let ending = self.stack.stop_process(process).await;
        unclean(ending.map(|ending| (process, ending))).collect()
    }

    async fn stop_all(&self, service: Service) -> Vec<String> {
        for process in self.stack.processes(service) {
            // As for `stop`.
            self.stack.until_ready(process).await;
        }
        unclean(self.stack.stop_service(service).await).collect()
    }

    fn process(&self, service: Service, step: &FaultStep) -> Result<Process> {
        let processes = self.stack.processes(service);
        let process = processes.get(step.which % processes.len().max(1));
        process
            .copied()
            .with_context(|| format!("there is no {service}"))
    }

    fn proxy(&self, server: Service) -> Result<&Proxy> {
        let proxies = self.stack.proxies().context("there are no proxies")?;
        let proxy = match server {
            Service::Database => proxies.database.as_ref(),
            _ => proxies.kafka.as_ref(),
        };
        proxy.with_context(|| format!("there is no proxy before the {server}"))
    }
}

/// The processes that did not stop cleanly, one sentence each.
pub(super) fn unclean(
    endings: impl IntoIterator<Item = (Process, Ending)>,
) -> impl Iterator<Item = String> {
    let unclean = endings.into_iter().filter(|(_, ending)| !ending.is_clean());
    unclean.map(|(process, ending)| format!("{process} did not stop cleanly: {ending}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::Path;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn each_replica_that_does_not_stop_cleanly_is_a_problem() {
        let ending = |exit_code: i32, is_forced| {
            let status = ExitStatus::from_raw(exit_code << 8);
            Ending::new(status, is_forced, 0, Path::new("/dev/null"))
        };
        let endings = [ending(0, false), ending(1, false), ending(0, true)];
        let replicas = (1..).map(|number| Process {
            service: Service::Processing,
            replica: Some(number),
        });

        let problems: Vec<_> = unclean(replicas.zip(endings)).collect();

        assert_eq!(
            problems,
            [
                "processing-service-2 did not stop cleanly: in time, exit status: 1",
                "processing-service-3 did not stop cleanly: forced, exit status: 0",
            ]
        );
    }
}
