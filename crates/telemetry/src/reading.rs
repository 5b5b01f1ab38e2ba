//! The last value of a periodic reading, for a gauge that must not block.
//!
//! After a failed reading the gauge has no value: a stale one would keep an alert firing, or silent, during an outage.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The last reading; owned by the task that reads.
#[derive(Debug)]
pub struct LastReading<T>(Arc<Mutex<Option<T>>>);

/// The side of the gauge. It has no value once the [`LastReading`] is dropped.
#[derive(Debug)]
pub struct LastValue<T>(Weak<Mutex<Option<T>>>);

impl<T> Default for LastReading<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Copy> LastReading<T> {
    /// Stores a reading; `None` after a failed one.
    pub fn note(&self, reading: Option<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    pub fn display(&self) -> LastValue<T> {
        LastValue(Arc::downgrade(&self.0))
    }
}

impl<T: Copy> LastValue<T> {
    pub fn last(&self) -> Option<T> {
        let reading = self.0.upgrade()?;
        *reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
