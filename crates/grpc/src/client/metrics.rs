//! Metrics of a client, prefix `client.`, with the name of the dependency.

use std::sync::Arc;

use super::circuit_breaker::CircuitState;
use super::{ClientShared, ServiceClient};
use telemetry::names::{attributes, metrics};
use telemetry::vocabulary::{Label, Labels, Metric};

/// A value and its label within the instrument.
type DataPoint = (u64, Option<Label>);

impl ServiceClient {
    /// Registers the metrics of breaker, endpoints and retries.
    pub fn observe(&self) {
        self.show(metrics::CLIENT_BREAKER_STATE, |shared| {
            vec![(shared.breaker.snapshot().0 as u64, None)]
        });
        self.show(metrics::CLIENT_BREAKER_TRANSITIONS, transitions);
        self.show(metrics::CLIENT_BREAKER_REFUSED, |shared| {
            vec![(shared.breaker.snapshot().1.rejected, None)]
        });
        self.show(metrics::CLIENT_ENDPOINTS, endpoints);
        self.show(metrics::CLIENT_ENDPOINT_EJECTIONS, |shared| {
            vec![(shared.endpoints.count().2, None)]
        });
        self.show(metrics::CLIENT_RETRIES, retries);
    }

    fn show(&self, metric: Metric, read: fn(&ClientShared) -> Vec<DataPoint>) {
        let shared = Arc::clone(&self.shared);
        metric.observe(move || {
            let dependency = attributes::DEPENDENCY.label(shared.dependency.name);
            let points = read(&shared).into_iter();
            let labelled = points.map(|(value, label)| {
                (
                    value,
                    Labels::of([dependency.clone()].into_iter().chain(label)),
                )
            });
            labelled.collect::<Vec<_>>()
        });
    }
}

fn transitions(shared: &ClientShared) -> Vec<DataPoint> {
    let (_, counts) = shared.breaker.snapshot();
    let to = |kind: CircuitState| {
        let count = counts.transitions[kind as usize];
        (count, Some(attributes::BREAKER_TO.label(kind.name())))
    };
    CircuitState::ALL.into_iter().map(to).collect()
}

fn endpoints(shared: &ClientShared) -> Vec<DataPoint> {
    let (in_use, ejected, _) = shared.endpoints.count();
    let state = |name: &'static str| Some(attributes::ENDPOINT_STATE.label(name));
    vec![
        (in_use as u64, state("in_use")),
        (ejected as u64, state("ejected")),
    ]
}

fn retries(shared: &ClientShared) -> Vec<DataPoint> {
    let budget = &shared.budget;
    let outcome = |name: &'static str| Some(attributes::RETRY_OUTCOME.label(name));
    vec![
        (budget.retries(), outcome("made")),
        (budget.withheld(), outcome("withheld")),
    ]
}
