//! The network faults that a proxy can inject.

use std::fmt;
use std::time::Duration;

/// A fault of the connections between two peers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NetworkFault {
    /// No fault: bytes are forwarded as they come.
    #[default]
    Pass,
    /// Every byte is delayed: by a fixed time plus a random time up to `jitter`. Order is kept.
    Latency { fixed: Duration, jitter: Duration },
    /// Maximum bytes per second of each connection, per direction.
    Throttle {
        /// 0 counts as 1.
        bytes_per_second: u32,
    },
    /// Open connections are reset, new ones are refused.
    Cut,
    /// Connections are accepted and kept, and nothing is forwarded either way: each side sees a silent peer. When the
    /// fault ends, the data sent meanwhile arrives, as after a healed network partition.
    HalfOpen,
    /// A connection is closed with FIN, also in the middle of a message, once it has carried this many bytes in both
    /// directions together. A connection that has carried more already is closed with its next byte.
    CloseAfter { bytes: u64 },
}

impl NetworkFault {
    /// The delay of a byte that is read now.
    pub(super) fn delay(self) -> Duration {
        match self {
            Self::Latency { fixed, jitter } => fixed + jitter.mul_f64(rand::random::<f64>()),
            _ => Duration::ZERO,
        }
    }

    /// The transmission time of this many bytes.
    pub(super) fn busy(self, bytes: usize) -> Duration {
        match self {
            Self::Throttle { bytes_per_second } => {
                Duration::from_secs_f64(bytes as f64 / f64::from(bytes_per_second.max(1)))
            }
            _ => Duration::ZERO,
        }
    }

    /// How many of `more` bytes may pass on a connection that has carried `carried`.
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

impl fmt::Display for NetworkFault {
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
