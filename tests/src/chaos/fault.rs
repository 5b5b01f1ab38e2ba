//! The kinds of faults that are injected.

use std::fmt;

use crate::proxy;
use crate::stack::Service;

/// An injected fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChaosFault {
    /// `kill -9` of one replica; the stack restarts it at once.
    Kill(Service),
    /// `kill -9` of all replicas at once.
    KillAll(Service),
    /// SIGSTOP of one replica, then SIGCONT.
    Freeze(Service),
    /// A clean stop of the broker or the database, then a start.
    Stop(Service),
    /// One replica is removed in order, then added again: its partitions and shards move twice.
    Scale(Service),
    /// The standby of the database is promoted behind one address; the former primary goes on, read-only.
    FailOver,
    /// A fault of the connections from the services to the broker or the database.
    Line(Service, proxy::NetworkFault),
    /// All replicas of processing-service are stopped, the records of orders are deleted, read or not, and an operator
    /// publishes the events of open orders again.
    DeleteRecords,
    /// Most payments are slow, declined, unanswered or fail.
    Payments,
    /// Records are published again, byte for byte.
    Echo(&'static str, Echo),
    /// Another producer publishes records of every kind that a broker accepts, on both topics.
    Foreign,
}

/// Which records are published again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Echo {
    /// The newest ones, whose orders are still in progress.
    Newest,
    /// A range of old ones, as after a reset of offsets.
    Old,
    /// Adjacent records of one order, the later one first.
    Swapped,
}

impl ChaosFault {
    /// The name in the report, without durations; the key for counts and comparisons.
    pub fn kind(&self) -> String {
        match self {
            Self::Kill(service) => format!("kill {service}"),
            Self::KillAll(service) => format!("kill all of {service}"),
            Self::Freeze(service) => format!("freeze {service}"),
            Self::Stop(service) => format!("restart {service}"),
            Self::Scale(service) => format!("remove and add {service}"),
            Self::FailOver => "fail over database".to_owned(),
            Self::Line(service, fault) => format!("{} {service}", line_kind(*fault)),
            Self::DeleteRecords => "records deleted unread".to_owned(),
            Self::Payments => "failing payments".to_owned(),
            Self::Echo(_, Echo::Newest) => "duplicates".to_owned(),
            Self::Echo(_, Echo::Old) => "replay".to_owned(),
            Self::Echo(_, Echo::Swapped) => "swapped records".to_owned(),
            Self::Foreign => "foreign records".to_owned(),
        }
    }

    /// Whether the fault impairs a component, so that recovery must be awaited.
    pub fn disrupts(&self) -> bool {
        !matches!(self, Self::Payments | Self::Echo(..) | Self::Foreign)
    }
}

fn line_kind(fault: proxy::NetworkFault) -> &'static str {
    match fault {
        proxy::NetworkFault::Pass => "pass to",
        proxy::NetworkFault::Latency { .. } => "latency to",
        proxy::NetworkFault::Throttle { .. } => "throttle to",
        proxy::NetworkFault::Cut => "cut off",
        proxy::NetworkFault::HalfOpen => "half-open to",
        proxy::NetworkFault::CloseAfter { .. } => "close connections to",
    }
}

impl fmt::Display for ChaosFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Line(service, fault) => format!("connections to the {service}: {fault}"),
            Self::Echo(topic, _) => format!("{} on {topic}", self.kind()),
            _ => self.kind(),
        };
        formatter.pad(&text)
    }
}
