//! What can be seen of a client from outside, under `client.` and with the name of the dependency.

use opentelemetry::KeyValue;

use super::ServiceClient;
use super::breaker::Kind;
use crate::telemetry::Meter;

impl ServiceClient {
    /// Shows the state of the breaker, the replicas and the repetitions.
    pub fn observe(&self, meter: &Meter) {
        self.observe_breaker(meter);
        self.observe_endpoints(meter);
        self.observe_retries(meter);
    }

    fn observe_breaker(&self, meter: &Meter) {
        let client = self.clone();
        meter
            .u64_observable_gauge("client.breaker.state")
            .with_description("State of the circuit breaker: 0 closed, 1 half open, 2 open")
            .with_callback(move |observer| {
                let (kind, _) = client.shared.breaker.look();
                observer.observe(kind as u64, &[client.dependency()]);
            })
            .build();
        let client = self.clone();
        meter
            .u64_observable_counter("client.breaker.transitions")
            .with_unit("{transition}")
            .with_description("Transitions of the circuit breaker by the state that they lead to")
            .with_callback(move |observer| {
                let (_, counts) = client.shared.breaker.look();
                for kind in Kind::ALL {
                    let to = KeyValue::new("to", kind.name());
                    let count = counts.transitions[kind as usize];
                    observer.observe(count, &[client.dependency(), to]);
                }
            })
            .build();
        let client = self.clone();
        meter
            .u64_observable_counter("client.breaker.refused")
            .with_unit("{call}")
            .with_description("Calls that the open circuit breaker answered itself")
            .with_callback(move |observer| {
                let (_, counts) = client.shared.breaker.look();
                observer.observe(counts.refused, &[client.dependency()]);
            })
            .build();
    }

    fn observe_endpoints(&self, meter: &Meter) {
        let client = self.clone();
        meter
            .u64_observable_gauge("client.endpoints")
            .with_unit("{endpoint}")
            .with_description("Known replicas by state")
            .with_callback(move |observer| {
                let (in_use, ejected, _) = client.shared.endpoints.count();
                for (state, count) in [("in_use", in_use), ("ejected", ejected)] {
                    let state = KeyValue::new("state", state);
                    observer.observe(count as u64, &[client.dependency(), state]);
                }
            })
            .build();
        let client = self.clone();
        meter
            .u64_observable_counter("client.endpoint.ejections")
            .with_unit("{ejection}")
            .with_description("How often a replica was ejected because its calls failed")
            .with_callback(move |observer| {
                let (_, _, ejections) = client.shared.endpoints.count();
                observer.observe(ejections, &[client.dependency()]);
            })
            .build();
    }

    fn observe_retries(&self, meter: &Meter) {
        let client = self.clone();
        meter
            .u64_observable_counter("client.retries")
            .with_unit("{attempt}")
            .with_description("Repeated calls, and those not repeated because too much failed")
            .with_callback(move |observer| {
                let budget = &client.shared.budget;
                let counts = [
                    ("made", budget.repetitions()),
                    ("withheld", budget.withheld()),
                ];
                for (outcome, count) in counts {
                    let outcome = KeyValue::new("outcome", outcome);
                    observer.observe(count, &[client.dependency(), outcome]);
                }
            })
            .build();
    }

    fn dependency(&self) -> KeyValue {
        KeyValue::new("dependency", self.shared.name)
    }
}
