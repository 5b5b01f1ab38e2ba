//! What was read last, for a gauge that must not wait for the reading.
//!
//! What cannot be read any more is not shown: a value from before an outage would keep an alert ringing, or silent, that
//! nobody can rely on.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The last reading, kept by whoever reads.
#[derive(Debug)]
pub struct LastReading<T>(Arc<Mutex<Option<T>>>);

/// The last reading, for whoever shows it. There is none any more when nobody reads.
#[derive(Debug)]
pub struct Display<T>(Weak<Mutex<Option<T>>>);

impl<T> Default for LastReading<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Copy> LastReading<T> {
    /// It is this now, or not known.
    pub fn note(&self, reading: Option<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    /// For a gauge.
    pub fn display(&self) -> Display<T> {
        Display(Arc::downgrade(&self.0))
    }
}

impl<T: Copy> Display<T> {
    /// The last reading, if it is known.
    pub fn last(&self) -> Option<T> {
        let reading = self.0.upgrade()?;
        *reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
