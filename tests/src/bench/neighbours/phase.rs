//! The phases of a run: the state of processing-service in each.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::proxy::NetworkFault;
use crate::stack::{Service, Stack};

/// Response time of processing-service while it is slow: far above the deadline of an availability query.
const ANSWER: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadPhase {
    /// Normal operation.
    Healthy,
    /// processing-service was stopped cleanly and is down.
    Stopped,
    /// Restarted after the stop.
    Back,
    /// Keeps its connections and does nothing (SIGSTOP).
    Frozen,
    /// Continues (SIGCONT).
    Thawed,
    /// Answers late.
    Slow,
    /// Normal operation after all faults.
    HealthyAgain,
}

impl LoadPhase {
    /// All phases, each fault followed by its end.
    pub(super) const ALL: [Self; 7] = [
        Self::Healthy,
        Self::Stopped,
        Self::Back,
        Self::Frozen,
        Self::Thawed,
        Self::Slow,
        Self::HealthyAgain,
    ];

    /// Puts processing-service into the state of this phase.
    pub(super) async fn begin(self, stack: &Stack) -> Result<()> {
        match self {
            Self::Healthy => {}
            Self::Stopped => stop(stack).await?,
            Self::Back => {
                stack.start_service(Service::Processing).await?;
                set(stack, NetworkFault::Pass)?;
            }
            Self::Frozen => {
                for process in stack.processes(Service::Processing) {
                    stack.pause(process).await?;
                }
            }
            Self::Thawed => {
                for process in stack.processes(Service::Processing) {
                    stack.resume(process).await?;
                }
            }
            Self::Slow => set(stack, late())?,
            Self::HealthyAgain => set(stack, NetworkFault::Pass)?,
        }
        Ok(())
    }
}

async fn stop(stack: &Stack) -> Result<()> {
    for (process, ending) in stack.stop_service(Service::Processing).await {
        ensure!(
            ending.is_clean(),
            "{process} did not stop cleanly: {ending}"
        );
    }
    // The service's port is closed, so the proxy's port must be closed too.
    set(stack, NetworkFault::Cut)
}

/// Half of the delay on the request, half on the answer.
fn late() -> NetworkFault {
    NetworkFault::Latency {
        fixed: ANSWER / 2,
        jitter: Duration::ZERO,
    }
}

fn set(stack: &Stack, fault: NetworkFault) -> Result<()> {
    let proxies = stack.proxies().context("the stack has no proxies")?;
    for proxy in &proxies.processing {
        proxy.set(fault);
    }
    Ok(())
}

impl fmt::Display for LoadPhase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Healthy => "healthy",
            Self::Stopped => "stopped",
            Self::Back => "back",
            Self::Frozen => "frozen",
            Self::Thawed => "thawed",
            Self::Slow => "slow",
            Self::HealthyAgain => "healthy again",
        })
    }
}
