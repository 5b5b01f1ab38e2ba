//! Calls that were refused before they were worked on, counted by the reason. Whoever refuses one counts it.

use telemetry::instruments::Counter;
use telemetry::names::{attributes, metrics};
use telemetry::vocabulary::Labels;

/// Why there was too much to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedReason {
    /// As many calls are in work, or as many streams open, as may be.
    Concurrency,
    /// What was accepted before cannot leave.
    Backlog,
    /// Too many commands wait for their commit.
    Queue,
    /// The caller has used up its share.
    CustomerRateLimit,
}

impl ShedReason {
    fn name(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::Backlog => "backlog",
            Self::Queue => "queue",
            Self::CustomerRateLimit => "fair_share",
        }
    }
}

/// The refused calls of this process. Everyone that counts has one of its own, and they add up.
#[derive(Clone, Debug)]
pub struct ShedCalls(Counter);

impl Default for ShedCalls {
    fn default() -> Self {
        Self(metrics::GRPC_SERVER_CALLS_SHED.counter())
    }
}

impl ShedCalls {
    /// One more.
    pub fn count(&self, reason: ShedReason) {
        let reason = attributes::SHED_REASON.label(reason.name());
        self.0.add(1, &Labels::of([reason]));
    }
}
