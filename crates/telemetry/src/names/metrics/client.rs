//! Metrics of the gRPC client: circuit breaker, endpoints, retries.

use crate::names::attributes as attr;
use crate::vocabulary::Instrument::{Counter, Gauge};
use crate::vocabulary::{Metric, NameOrigin, always};

pub const CLIENT_BREAKER_STATE: Metric = Metric {
    name: "client.breaker.state",
    instrument: Gauge,
    unit: "{state}",
    brief: "State of the circuit breaker: 0 closed, 1 half open, 2 open",
    attributes: &[always(attr::DEPENDENCY)],
    source: NameOrigin::Own,
};

pub const CLIENT_BREAKER_TRANSITIONS: Metric = Metric {
    name: "client.breaker.transitions",
    instrument: Counter,
    unit: "{transition}",
    brief: "Transitions of the circuit breaker, by the new state",
    attributes: &[always(attr::DEPENDENCY), always(attr::BREAKER_TO)],
    source: NameOrigin::Own,
};

pub const CLIENT_BREAKER_REFUSED: Metric = Metric {
    name: "client.breaker.refused",
    instrument: Counter,
    unit: "{call}",
    brief: "Calls rejected by the open circuit breaker",
    attributes: &[always(attr::DEPENDENCY)],
    source: NameOrigin::Own,
};

pub const CLIENT_ENDPOINTS: Metric = Metric {
    name: "client.endpoints",
    instrument: Gauge,
    unit: "{endpoint}",
    brief: "Known replicas, by state",
    attributes: &[always(attr::DEPENDENCY), always(attr::ENDPOINT_STATE)],
    source: NameOrigin::Own,
};

pub const CLIENT_ENDPOINT_EJECTIONS: Metric = Metric {
    name: "client.endpoint.ejections",
    instrument: Counter,
    unit: "{ejection}",
    brief: "Ejections of a replica after failed calls",
    attributes: &[always(attr::DEPENDENCY)],
    source: NameOrigin::Own,
};

pub const CLIENT_RETRIES: Metric = Metric {
    name: "client.retries",
    instrument: Counter,
    unit: "{attempt}",
    brief: "Retries of calls, and retries withheld because the retry budget was exhausted",
    attributes: &[always(attr::DEPENDENCY), always(attr::RETRY_OUTCOME)],
    source: NameOrigin::Own,
};
