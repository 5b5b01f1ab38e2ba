//! Admission: no new orders while those accepted before cannot leave.
//!
//! The halves fail apart: Kafka may be away for a while, and orders are accepted all the same; their events wait in the
//! outbox. But a promise that cannot be kept in time should not be made without end, and the table must not fill the disk.
//! So when too much waits, or has waited for too long, PlaceOrder is refused until the relay has caught up. What was
//! accepted, and everything else a client may ask, is not concerned.
//!
//! The outbox is looked at once a second and not per call: the limits are far beyond what a second can add.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outbox::watch::{BacklogWatch, POLL_INTERVAL};
use outbox::{Backlog, Outbox};
use service::config::Settings;
use tokio_util::sync::CancellationToken;

/// How much may wait for the broker before no more is accepted.
#[derive(Clone, Copy, Debug)]
pub struct BacklogLimits {
    /// Events.
    pub rows: u64,
    /// How long the oldest of them may have waited.
    pub age: Duration,
}

impl BacklogLimits {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let rows: u32 = settings.value(
            "BACKLOG_ROWS",
            "1000000",
            "events that may wait for Kafka; with more, PlaceOrder is refused with RESOURCE_EXHAUSTED until they have left",
        );
        let age = settings.value(
            "BACKLOG_AGE",
            "15m",
            "how long the oldest event may have waited for Kafka; after that, PlaceOrder is refused with RESOURCE_EXHAUSTED until it has left",
        );
        if rows == 0 {
            settings.reject("BACKLOG_ROWS", "must be at least 1");
        }
        if age < POLL_INTERVAL {
            settings.reject(
                "BACKLOG_AGE",
                "must be at least 1s, the time between two looks",
            );
        }
        Self {
            rows: rows.into(),
            age,
        }
    }

    fn allow(&self, backlog: &Backlog) -> bool {
        backlog.rows <= self.rows && backlog.oldest <= self.age
    }
}

/// Whether orders are accepted; clones share it.
#[derive(Clone, Debug)]
pub struct Admission {
    is_open: Arc<AtomicBool>,
}

impl Default for Admission {
    /// Open, until a look at the outbox says otherwise.
    fn default() -> Self {
        Self {
            is_open: Arc::new(AtomicBool::new(true)),
        }
    }
}

impl Admission {
    /// Whether a new order may be accepted now.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Judges each look at this outbox until `shutdown`. While it cannot be read nothing changes: a database that is away
    /// takes no orders either.
    pub async fn watch(
        self,
        outbox: Arc<dyn Outbox>,
        limits: BacklogLimits,
        shutdown: CancellationToken,
    ) {
        // One more than allowed is enough to know.
        let watch = BacklogWatch::new(outbox, limits.rows + 1);
        let judge = |backlog: &Backlog| self.judge(backlog, &limits);
        watch.run(shutdown, judge).await;
    }

    fn judge(&self, backlog: &Backlog, limits: &BacklogLimits) {
        let may_open = limits.allow(backlog);
        if self.is_open.swap(may_open, Ordering::Relaxed) == may_open {
            return;
        }
        let Backlog { rows, oldest } = backlog;
        if may_open {
            tracing::info!(rows, ?oldest, "orders are accepted again");
        } else {
            tracing::error!(
                rows,
                ?oldest,
                "no orders are accepted: too much waits for kafka"
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
    fn orders_are_refused_while_too_much_waits_or_waits_for_too_long() {
        let admission = Admission::default();
        assert!(admission.is_open());

        for (waiting, is_open) in [
            (backlog(10, 60), true),
            (backlog(11, 1), false),
            (backlog(10, 1), true),
            (backlog(1, 61), false),
            (backlog(0, 0), true),
        ] {
            admission.judge(&waiting, &LIMITS);
            assert_eq!(admission.is_open(), is_open, "{waiting:?}");
        }
    }
}
