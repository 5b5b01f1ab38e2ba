//! What can be seen of a client from outside, under `client.` and with the name of the dependency.

use std::sync::Arc;

use super::breaker::Kind;
use super::{ServiceClient, Shared};
use telemetry::names::{attributes, metrics};
use telemetry::vocabulary::{Label, Labels, Metric};

/// A value, and what tells it apart from the others of its instrument.
type Reading = (u64, Option<Label>);

impl ServiceClient {
    /// Shows the state of the breaker, the replicas and the repetitions.
    pub fn observe(&self) {
        self.show(metrics::CLIENT_BREAKER_STATE, |shared| {
            vec![(shared.breaker.look().0 as u64, None)]
        });
        self.show(metrics::CLIENT_BREAKER_TRANSITIONS, transitions);
        self.show(metrics::CLIENT_BREAKER_REFUSED, |shared| {
            vec![(shared.breaker.look().1.refused, None)]
        });
        self.show(metrics::CLIENT_ENDPOINTS, endpoints);
        self.show(metrics::CLIENT_ENDPOINT_EJECTIONS, |shared| {
            vec![(shared.endpoints.count().2, None)]
        });
        self.show(metrics::CLIENT_RETRIES, retries);
    }

    /// Shows these readings, each with the name of the dependency.
    fn show(&self, metric: Metric, read: fn(&Shared) -> Vec<Reading>) {
        let shared = Arc::clone(&self.shared);
        metric.observe(move || {
            let dependency = attributes::DEPENDENCY.label(shared.name);
            let readings = read(&shared).into_iter();
            let labelled = readings.map(|(value, label)| {
                (
                    value,
                    Labels::of([dependency.clone()].into_iter().chain(label)),
                )
            });
            labelled.collect::<Vec<_>>()
        });
    }
}

fn transitions(shared: &Shared) -> Vec<Reading> {
    let (_, counts) = shared.breaker.look();
    let to = |kind: Kind| {
        let count = counts.transitions[kind as usize];
        (count, Some(attributes::BREAKER_TO.label(kind.name())))
    };
    Kind::ALL.into_iter().map(to).collect()
}

fn endpoints(shared: &Shared) -> Vec<Reading> {
    let (in_use, ejected, _) = shared.endpoints.count();
    let state = |name: &'static str| Some(attributes::ENDPOINT_STATE.label(name));
    vec![
        (in_use as u64, state("in_use")),
        (ejected as u64, state("ejected")),
    ]
}

fn retries(shared: &Shared) -> Vec<Reading> {
    let budget = &shared.budget;
    let outcome = |name: &'static str| Some(attributes::RETRY_OUTCOME.label(name));
    vec![
        (budget.repetitions(), outcome("made")),
        (budget.withheld(), outcome("withheld")),
    ]
}
