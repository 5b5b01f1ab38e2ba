//! Admission control: refuses new orders while the outbox backlog is over its limits.
//!
//! While Kafka is down, orders are still accepted and their events wait in the outbox. The limits keep the delay of accepted
//! orders and the size of the table bounded: with too many events, or one that is too old, PlaceOrder is refused until the
//! relay has caught up. Accepted orders and all other methods are not affected.
//!
//! The outbox is polled once a second, not per call: a second adds little compared with the limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outbox::watch::{BacklogWatch, POLL_INTERVAL};
use outbox::{Backlog, Outbox};
use service::config::Settings;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Copy, Debug)]
pub struct BacklogLimits {
    /// Maximum events in the outbox.
    pub rows: u64,
    /// Maximum age of the oldest event whose key is not blocked.
    pub age: Duration,
}

impl BacklogLimits {
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let rows: u32 = settings.value(
            "BACKLOG_ROWS",
            "1000000",
            "maximum events in the outbox; above it, PlaceOrder is refused with RESOURCE_EXHAUSTED until the relay has caught up",
        );
        let age = settings.value(
            "BACKLOG_AGE",
            "15m",
            "maximum age of the oldest event in the outbox whose key is not blocked; above it, PlaceOrder is refused with RESOURCE_EXHAUSTED until the event is published",
        );
        settings.require(rows > 0, "BACKLOG_ROWS", "must be at least 1");
        let why = "must be at least 1s, the poll interval of the outbox";
        settings.require(age >= POLL_INTERVAL, "BACKLOG_AGE", why);
        Self {
            rows: rows.into(),
            age,
        }
    }

    fn allow(&self, backlog: &Backlog) -> bool {
        backlog.rows <= self.rows && backlog.oldest <= self.age
    }
}

/// Open or closed for new orders; clones share the state. Open until the first poll.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    is_closed: Arc<AtomicBool>,
}

impl Admission {
    pub fn is_open(&self) -> bool {
        !self.is_closed.load(Ordering::Relaxed)
    }

    /// Polls this outbox until `shutdown`. While it cannot be read, the state does not change: without the database no order
    /// is accepted either.
    pub async fn watch(
        self,
        outbox: Arc<dyn Outbox>,
        limits: BacklogLimits,
        shutdown: CancellationToken,
    ) {
        // Counting one row more than allowed is enough.
        let watch = BacklogWatch::new(outbox, limits.rows + 1);
        let update = |backlog: &Backlog| self.update(backlog, &limits);
        watch.run(shutdown, update).await;
    }

    fn update(&self, backlog: &Backlog, limits: &BacklogLimits) {
        let may_open = limits.allow(backlog);
        if self.is_closed.swap(!may_open, Ordering::Relaxed) != may_open {
            return;
        }
        let Backlog { rows, oldest } = backlog;
        if may_open {
            tracing::info!(
                rows,
                ?oldest,
                "admission open: outbox backlog within its limits"
            );
        } else {
            tracing::error!(
                rows,
                ?oldest,
                "admission closed: outbox backlog over its limits"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BacklogLimits = BacklogLimits {
        rows: 10,
        age: Duration::from_secs(60),
    };

    fn backlog(rows: u64, seconds: u64) -> Backlog {
        Backlog {
            rows,
            oldest: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn admission_is_closed_while_the_backlog_is_too_large_or_too_old() {
        let admission = Admission::default();
        assert!(admission.is_open());

        for (waiting, is_open) in [
            (backlog(10, 60), true),
            (backlog(11, 1), false),
            (backlog(10, 1), true),
            (backlog(1, 61), false),
            (backlog(0, 0), true),
        ] {
            admission.update(&waiting, &LIMITS);
            assert_eq!(admission.is_open(), is_open, "{waiting:?}");
        }
    }
}
