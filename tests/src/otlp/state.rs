//! The state that the receiver and its connections share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::kept::Kept;
use super::sample::Samples;

/// How the receiver answers.
#[derive(Clone, Copy, Debug, Default)]
pub enum Manner {
    /// At once.
    #[default]
    Prompt,
    /// After this time.
    Slow(Duration),
    /// Reads and discards the request and never answers.
    Silent,
}

/// State shared by the connections.
#[derive(Debug)]
pub(super) struct ReceiverState {
    pub(super) kept: Kept,
    pub(super) samples: Samples,
    pub(super) manner: Manner,
}

/// The state is complete after every request, so a poisoned lock is harmless.
pub(super) fn lock(state: &Mutex<ReceiverState>) -> MutexGuard<'_, ReceiverState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
