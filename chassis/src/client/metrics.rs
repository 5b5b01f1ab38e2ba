//! What can be seen of a client from outside, under `client.` and with the name of the dependency.

use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;

use super::breaker::Kind;
use super::{ServiceClient, Shared};
use crate::telemetry::Meter;

/// A value, and what tells it apart from the others of its instrument.
type Reading = (u64, Option<KeyValue>);

impl ServiceClient {
    /// Shows the state of the breaker, the replicas and the repetitions.
    pub fn observe(&self, meter: &Meter) {
        self.observe_breaker(meter);
        self.observe_endpoints(meter);
        meter
            .u64_observable_counter("client.retries")
            .with_unit("{attempt}")
            .with_description("Repeated calls, and those not repeated because too much failed")
            .with_callback(self.readings(retries))
            .build();
    }

    fn observe_breaker(&self, meter: &Meter) {
        meter
            .u64_observable_gauge("client.breaker.state")
            .with_description("State of the circuit breaker: 0 closed, 1 half open, 2 open")
            .with_callback(self.readings(|shared| vec![(shared.breaker.look().0 as u64, None)]))
            .build();
        meter
            .u64_observable_counter("client.breaker.transitions")
            .with_unit("{transition}")
            .with_description("Transitions of the circuit breaker by the state that they lead to")
            .with_callback(self.readings(transitions))
            .build();
        meter
            .u64_observable_counter("client.breaker.refused")
            .with_unit("{call}")
            .with_description("Calls that the open circuit breaker answered itself")
            .with_callback(self.readings(|shared| vec![(shared.breaker.look().1.refused, None)]))
            .build();
    }

    fn observe_endpoints(&self, meter: &Meter) {
        meter
            .u64_observable_gauge("client.endpoints")
            .with_unit("{endpoint}")
            .with_description("Known replicas by state")
            .with_callback(self.readings(endpoints))
            .build();
        meter
            .u64_observable_counter("client.endpoint.ejections")
            .with_unit("{ejection}")
            .with_description("How often a replica was ejected because its calls failed")
            .with_callback(self.readings(|shared| vec![(shared.endpoints.count().2, None)]))
            .build();
    }

    /// A callback that takes these readings, each with the name of the dependency.
    fn readings(
        &self,
        read: fn(&Shared) -> Vec<Reading>,
    ) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static {
        let client = self.clone();
        move |instrument| {
            let dependency = KeyValue::new("dependency", client.shared.name);
            for (value, attribute) in read(&client.shared) {
                let attributes: Vec<_> = [Some(dependency.clone()), attribute]
                    .into_iter()
                    .flatten()
                    .collect();
                instrument.observe(value, &attributes);
            }
        }
    }
}

fn transitions(shared: &Shared) -> Vec<Reading> {
    let (_, counts) = shared.breaker.look();
    let to = |kind: Kind| {
        let count = counts.transitions[kind as usize];
        (count, Some(KeyValue::new("to", kind.name())))
    };
    Kind::ALL.into_iter().map(to).collect()
}

fn endpoints(shared: &Shared) -> Vec<Reading> {
    let (in_use, ejected, _) = shared.endpoints.count();
    let state = |name: &'static str| Some(KeyValue::new("state", name));
    vec![
        (in_use as u64, state("in_use")),
        (ejected as u64, state("ejected")),
    ]
}

fn retries(shared: &Shared) -> Vec<Reading> {
    let budget = &shared.budget;
    let outcome = |name: &'static str| Some(KeyValue::new("outcome", name));
    vec![
        (budget.repetitions(), outcome("made")),
        (budget.withheld(), outcome("withheld")),
    ]
}
