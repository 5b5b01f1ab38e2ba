//! Begins and ends faults on a running stack.

use anyhow::{Context as _, Result};

use super::fault::Fault;
use super::plan::Step;
use crate::proxy::{self, Proxy};
use crate::replay::Trouble;
use crate::stack::{Process, Service, Stack};

/// Failing payments per thousand orders: in normal operation, and while that is the fault.
const TROUBLE: u32 = 80;
const MUCH_TROUBLE: u32 = 600;

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

    /// Begins a fault. Returns an unexpected event, if there was one.
    pub(super) async fn begin(&self, step: &Step) -> Result<Option<String>> {
        match step.fault {
            Fault::Kill(service) => self.kill(service, step.which).await,
            Fault::KillAll(service) => {
                for process in self.stack.processes(service) {
                    self.stack.kill(process).await;
                }
            }
            Fault::Freeze(service) => self.stack.pause(self.process(service, step)?).await,
            Fault::Stop(service) | Fault::Scale(service) => {
                return Ok(self.stop(self.process(service, step)?).await);
            }
            Fault::Line(server, fault) => self.proxy(server)?.set(fault),
            Fault::Payments => self.trouble.set(MUCH_TROUBLE),
            Fault::Echo(..) => {}
        }
        Ok(None)
    }

    /// Reverts the fault; recovery takes additional time.
    pub(super) async fn end(&self, step: &Step) -> Result<()> {
        match step.fault {
            Fault::Freeze(service) => self.stack.resume(self.process(service, step)?).await,
            Fault::Stop(service) | Fault::Scale(service) => {
                self.stack.launch(self.process(service, step)?).await?;
            }
            Fault::Line(server, _) => self.proxy(server)?.set(proxy::Fault::Pass),
            Fault::Payments => self.trouble.set(TROUBLE),
            Fault::Kill(_) | Fault::KillAll(_) | Fault::Echo(..) => {}
        }
        Ok(())
    }

    /// Kills a replica.
    pub(super) async fn kill(&self, service: Service, which: usize) {
        let processes = self.stack.processes(service);
        if let Some(process) = processes.get(which % processes.len().max(1)) {
            self.stack.kill(*process).await;
        }
    }

    async fn stop(&self, process: Process) -> Option<String> {
        // A process that has not installed its signal handlers yet would be killed by the first signal.
        self.stack.until_ready(process).await;
        let ending = self.stack.stop_process(process).await?;
        (!ending.is_clean()).then(|| format!("{process} did not stop cleanly: {ending}"))
    }

    fn process(&self, service: Service, step: &Step) -> Result<Process> {
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
