//! What is seen of the outbox.

use crate::vocabulary::Instrument::Gauge;
use crate::vocabulary::{Metric, Source};

/// How much waits for the broker.
pub const OUTBOX_ROWS: Metric = Metric {
    name: "outbox.rows",
    instrument: Gauge,
    unit: "{event}",
    brief: "Committed events that the broker has not acknowledged, counted up to a bound; every replica shows all of them, and none while the database cannot be read",
    attributes: &[],
    source: Source::Own,
};
/// How long it waits.
pub const OUTBOX_OLDEST_AGE: Metric = Metric {
    name: "outbox.oldest.age",
    instrument: Gauge,
    unit: "s",
    brief: "How long the oldest of them has waited",
    attributes: &[],
    source: Source::Own,
};
/// What cannot be published.
pub const OUTBOX_BLOCKED_KEYS: Metric = Metric {
    name: "outbox.blocked.keys",
    instrument: Gauge,
    unit: "{key}",
    brief: "Keys that stand still because an event of theirs cannot be published",
    attributes: &[],
    source: Source::Own,
};
