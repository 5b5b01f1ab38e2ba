//! What is seen of the client of another service.

use crate::names::attributes as attr;
use crate::vocabulary::Instrument::{Counter, Gauge};
use crate::vocabulary::{Metric, Source, always};

/// 0, 1 or 2.
pub const CLIENT_BREAKER_STATE: Metric = Metric {
    name: "client.breaker.state",
    instrument: Gauge,
    unit: "{state}",
    brief: "State of the circuit breaker: 0 closed, 1 half open, 2 open",
    attributes: &[always(attr::DEPENDENCY)],
    source: Source::Own,
};
/// How often it moved.
pub const CLIENT_BREAKER_TRANSITIONS: Metric = Metric {
    name: "client.breaker.transitions",
    instrument: Counter,
    unit: "{transition}",
    brief: "Transitions of the circuit breaker by the state that they lead to",
    attributes: &[always(attr::DEPENDENCY), always(attr::BREAKER_TO)],
    source: Source::Own,
};
/// What it kept away.
pub const CLIENT_BREAKER_REFUSED: Metric = Metric {
    name: "client.breaker.refused",
    instrument: Counter,
    unit: "{call}",
    brief: "Calls that the open circuit breaker answered itself",
    attributes: &[always(attr::DEPENDENCY)],
    source: Source::Own,
};
/// Who can be called.
pub const CLIENT_ENDPOINTS: Metric = Metric {
    name: "client.endpoints",
    instrument: Gauge,
    unit: "{endpoint}",
    brief: "Known replicas by state",
    attributes: &[always(attr::DEPENDENCY), always(attr::ENDPOINT_STATE)],
    source: Source::Own,
};
/// Who was left out.
pub const CLIENT_ENDPOINT_EJECTIONS: Metric = Metric {
    name: "client.endpoint.ejections",
    instrument: Counter,
    unit: "{ejection}",
    brief: "How often a replica was left out because its calls failed",
    attributes: &[always(attr::DEPENDENCY)],
    source: Source::Own,
};
/// What was asked again.
pub const CLIENT_RETRIES: Metric = Metric {
    name: "client.retries",
    instrument: Counter,
    unit: "{attempt}",
    brief: "Repeated calls, and those not repeated because too much failed",
    attributes: &[always(attr::DEPENDENCY), always(attr::RETRY_OUTCOME)],
    source: Source::Own,
};
