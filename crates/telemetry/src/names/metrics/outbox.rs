//! Metrics of the outbox.

use crate::vocabulary::Instrument::Gauge;
use crate::vocabulary::{Metric, NameOrigin};

pub const OUTBOX_ROWS: Metric = Metric {
    name: "outbox.rows",
    instrument: Gauge,
    unit: "{event}",
    brief: "Committed events not yet acknowledged by the broker, counted up to a limit; every replica reports the total, and no value while the database is unreadable",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const OUTBOX_OLDEST_AGE: Metric = Metric {
    name: "outbox.oldest.age",
    instrument: Gauge,
    unit: "s",
    brief: "Age of the oldest unacknowledged event",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const OUTBOX_BLOCKED_KEYS: Metric = Metric {
    name: "outbox.blocked.keys",
    instrument: Gauge,
    unit: "{key}",
    brief: "Blocked keys: the head event has exhausted its publish attempts",
    attributes: &[],
    source: NameOrigin::Own,
};
