//! How the pair recovered from a fault.

use std::time::Duration;

use super::fault::ChaosFault;

/// A fault that was injected.
#[derive(Clone, Debug)]
pub(super) struct Inflicted {
    pub(super) fault: ChaosFault,
    pub(super) recovery: Recovery,
}

/// How the pair recovered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Recovery {
    /// The fault impairs no component.
    NotNeeded,
    /// Time from the fault's end until an order placed after it was final.
    After(Duration),
    /// No recovery in time.
    Missed,
    /// The run was interrupted first.
    Interrupted,
}
