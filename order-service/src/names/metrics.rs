//! Metrics.

use telemetry::vocabulary::Instrument::{Counter, Gauge, Histogram};
use telemetry::vocabulary::{Metric, NameOrigin, always};

use super::attributes as attr;

/// Bucket boundaries in seconds. Without a delay an order ends within 10 to 100 ms; with payment retries it takes seconds;
/// waiting for Kafka or for an operator it takes minutes to hours. Each boundary is two to three times the one before;
/// beyond an hour only the count matters.
pub const LIFE_SECONDS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];

pub const ORDERS_ACCEPTED: Metric = Metric {
    name: "orders.accepted",
    instrument: Counter,
    unit: "{order}",
    brief: "Accepted orders, each counted once despite retries of its request",
    attributes: &[always(attr::ORDER_AVAILABILITY)],
    source: NameOrigin::Own,
};
pub const ORDERS_COMPLETION_DURATION: Metric = Metric {
    name: "orders.completion.duration",
    instrument: Histogram(LIFE_SECONDS),
    unit: "s",
    brief: "Time from the acceptance of an order to its final state, once per order",
    attributes: &[always(attr::ORDER_STATUS)],
    source: NameOrigin::Own,
};

pub const ORDERS_OPEN_OLDEST_AGE: Metric = Metric {
    name: "orders.open.oldest.age",
    instrument: Gauge,
    unit: "s",
    brief: "Age of the oldest accepted order without a final state, 0 if there is none; every replica reports it, and no value while the database is unreadable",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const ALL: &[Metric] = &[
    ORDERS_ACCEPTED,
    ORDERS_COMPLETION_DURATION,
    ORDERS_OPEN_OLDEST_AGE,
];
