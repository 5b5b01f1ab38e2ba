//! What a proxy can do to its connections.

use std::fmt;
use std::time::Duration;

/// A fault of the line between two peers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Fault {
    /// None: bytes pass as they come.
    #[default]
    Pass,
    /// Every byte arrives later: by a fixed time, and by a random time up to `jitter` more. Order is kept.
    Latency {
        /// At least so much.
        fixed: Duration,
        /// At most so much more.
        jitter: Duration,
    },
    /// Each connection carries at most so many bytes a second, each way.
    Throttle {
        /// The limit; 0 counts as 1.
        bytes_per_second: u32,
    },
    /// Open connections are reset, new ones are refused.
    Cut,
    /// Connections are accepted and kept, and nothing is forwarded either way: each side sees a peer that is silent. When
    /// the fault ends, the data sent meanwhile arrives, as after a healed network partition.
    HalfOpen,
    /// A connection is closed in order, also in the middle of a message, once it has carried so many bytes, both ways
    /// together. One that has carried more already is closed with its next byte.
    CloseAfter {
        /// The bytes.
        bytes: u64,
    },
}

impl Fault {
    /// How much later a byte arrives that is read now.
    pub(super) fn delay(self) -> Duration {
        match self {
            Self::Latency { fixed, jitter } => fixed + jitter.mul_f64(rand::random::<f64>()),
            _ => Duration::ZERO,
        }
    }

    /// How long the line is busy with so many bytes.
    pub(super) fn busy(self, bytes: usize) -> Duration {
        match self {
            Self::Throttle { bytes_per_second } => {
                Duration::from_secs_f64(bytes as f64 / f64::from(bytes_per_second.max(1)))
            }
            _ => Duration::ZERO,
        }
    }

    /// How many bytes of `more` may still pass on a connection that has carried `carried`.
    pub(super) fn allows(self, carried: u64, more: usize) -> usize {
        match self {
            Self::CloseAfter { bytes } => {
                let left = bytes.saturating_sub(carried);
                usize::try_from(left).map_or(more, |left| left.min(more))
            }
            _ => more,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => write!(formatter, "pass"),
            Self::Latency { fixed, jitter } => {
                write!(formatter, "latency of {fixed:?} to {:?}", *fixed + *jitter)
            }
            Self::Throttle { bytes_per_second } => {
                write!(formatter, "at most {bytes_per_second} bytes per second")
            }
            Self::Cut => write!(formatter, "cut"),
            Self::HalfOpen => write!(formatter, "half-open"),
            Self::CloseAfter { bytes } => write!(formatter, "closed after {bytes} bytes"),
        }
    }
}
