//! What happens to processing-service, phase by phase.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::proxy::Fault;
use crate::stack::{Service, Stack};

/// Response time of processing-service while it is slow: far above the deadline of an availability query.
const ANSWER: Duration = Duration::from_secs(5);

/// A stretch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// As it should be.
    Healthy,
    /// processing-service was stopped cleanly and is down.
    Stopped,
    /// It is there again.
    Back,
    /// It keeps its connections and does nothing (SIGSTOP).
    Frozen,
    /// It goes on (SIGCONT).
    Thawed,
    /// It answers late.
    Slow,
    /// As it should be, after all that.
    HealthyAgain,
}

impl Phase {
    /// All of them, each fault followed by its end.
    pub(super) const ALL: [Self; 7] = [
        Self::Healthy,
        Self::Stopped,
        Self::Back,
        Self::Frozen,
        Self::Thawed,
        Self::Slow,
        Self::HealthyAgain,
    ];

    /// Makes it so.
    pub(super) async fn begin(self, stack: &Stack) -> Result<()> {
        match self {
            Self::Healthy => {}
            Self::Stopped => stop(stack).await?,
            Self::Back => {
                stack.start_service(Service::Processing).await?;
                set(stack, Fault::Pass)?;
            }
            Self::Frozen => {
                for process in stack.processes(Service::Processing) {
                    stack.pause(process).await;
                }
            }
            Self::Thawed => {
                for process in stack.processes(Service::Processing) {
                    stack.resume(process).await;
                }
            }
            Self::Slow => set(stack, late())?,
            Self::HealthyAgain => set(stack, Fault::Pass)?,
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
    // Its port is closed, so the proxy's port must be closed too.
    set(stack, Fault::Cut)
}

/// The answer is late by half on its way there and by half on its way back.
fn late() -> Fault {
    Fault::Latency {
        fixed: ANSWER / 2,
        jitter: Duration::ZERO,
    }
}

fn set(stack: &Stack, fault: Fault) -> Result<()> {
    let proxies = stack.proxies().context("the stack has no proxies")?;
    for proxy in &proxies.processing {
        proxy.set(fault);
    }
    Ok(())
}

impl fmt::Display for Phase {
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
