//! Metrics.

use telemetry::vocabulary::Instrument::{Counter, Histogram};
use telemetry::vocabulary::{Metric, NameOrigin, always};

use super::attributes as attr;

/// Boundaries for the life of an order, in seconds: an order that nothing holds up ends within 10 to 100 ms, a payment
/// that is tried again takes seconds, and one that waits for Kafka or for an operator takes minutes to hours. Each bucket
/// is two to three times the one before; beyond an hour only the number matters.
pub const LIFE_SECONDS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];

/// What is promised.
pub const ORDERS_ACCEPTED: Metric = Metric {
    name: "orders.accepted",
    instrument: Counter,
    unit: "{order}",
    brief: "Orders that were accepted, each once however often its request is repeated",
    attributes: &[always(attr::ORDER_AVAILABILITY)],
    source: NameOrigin::Own,
};
/// How long it takes to keep it.
pub const ORDERS_COMPLETION_DURATION: Metric = Metric {
    name: "orders.completion.duration",
    instrument: Histogram(LIFE_SECONDS),
    unit: "s",
    brief: "Time from the acceptance of an order to its final state, once for each order",
    attributes: &[always(attr::ORDER_STATUS)],
    source: NameOrigin::Own,
};

/// All of them.
pub const ALL: &[Metric] = &[ORDERS_ACCEPTED, ORDERS_COMPLETION_DURATION];
