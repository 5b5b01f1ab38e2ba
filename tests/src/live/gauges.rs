//! The gauges of the page: from the metrics that both services export, and consumer lag and dead letters from the broker, which
//! has them while a service is down and after it was restarted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use auditor::topics::GROUPS;
use proto::topics::{ORDER_EVENTS_DEAD_LETTERS, PROCESSING_EVENTS_DEAD_LETTERS};

use super::board::{Board, rounded};
use super::tasks::Tasks;
use crate::otlp::Receiver;
use crate::otlp::sample::Sample;
use crate::stack::{ConsumerLag, Service, Stack};

/// As often as the services export.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A broker that is frozen must not hold the figures for long.
const ANSWER: Duration = Duration::from_millis(500);

/// An older value is of a process that is down or frozen, and is not shown.
const FRESH: Duration = Duration::from_secs(4);

/// Rates are over this many looks: exports and looks do not beat in time.
const RATE_OVER: usize = 5;

/// The present values by name; a name without a value is missing. They are in docs/telemetry/registry.yaml.
pub(super) type GaugeValues = BTreeMap<&'static str, f64>;

#[derive(Clone, Debug)]
pub(super) struct Gauges(Arc<Mutex<GaugeValues>>);

/// What is looked at.
#[derive(Debug)]
struct Sources {
    receiver: Option<Arc<Receiver>>,
    orders_lag: ConsumerLag,
    outcomes_lag: ConsumerLag,
    dead_letters: [ConsumerLag; 2],
    accepted: CounterRate,
    finished: CounterRate,
}

/// The rate of a counter, from its last values.
#[derive(Debug, Default)]
struct CounterRate(VecDeque<(Instant, f64)>);

impl Gauges {
    /// Starts to look.
    ///
    /// # Errors
    /// When no Kafka client can be made.
    pub(super) fn start(
        stack: &Stack,
        receiver: Option<Arc<Receiver>>,
        board: Board,
        tasks: &Tasks,
    ) -> Result<Self> {
        let lag = |reader: Service| {
            let groups = GROUPS.iter();
            let mut of_reader = groups.filter(|(_, group)| *group == reader.name());
            let (topic, group) = of_reader.next().copied().unwrap_or_default();
            ConsumerLag::of(stack, topic, group, ANSWER)
        };
        let mut sources = Sources {
            receiver,
            orders_lag: lag(Service::Processing)?,
            outcomes_lag: lag(Service::Orders)?,
            dead_letters: [
                ConsumerLag::of_all(stack, ORDER_EVENTS_DEAD_LETTERS, ANSWER)?,
                ConsumerLag::of_all(stack, PROCESSING_EVENTS_DEAD_LETTERS, ANSWER)?,
            ],
            accepted: CounterRate::default(),
            finished: CounterRate::default(),
        };
        let gauges = Self(Arc::default());
        let looks = gauges.clone();
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                let values = sources.look().await;
                board.measured(values.clone());
                *looks.0.lock().unwrap_or_else(PoisonError::into_inner) = values;
            }
        });
        Ok(gauges)
    }

    pub(super) fn values(&self) -> GaugeValues {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.clone()
    }
}

impl Sources {
    async fn look(&mut self) -> GaugeValues {
        let [of_orders, of_outcomes] = &self.dead_letters;
        let (orders_lag, outcomes_lag, of_orders, of_outcomes) = tokio::join!(
            self.orders_lag.records(),
            self.outcomes_lag.records(),
            of_orders.records(),
            of_outcomes.records(),
        );
        let samples = self.receiver.as_ref().map(|receiver| receiver.samples());
        let mut samples = samples.unwrap_or_default();
        samples.retain(|sample| sample.received.elapsed() < FRESH);
        let orders = |name| Named::of(&samples, Service::Orders, name);
        let processing = |name| Named::of(&samples, Service::Processing, name);
        let add = |first: Option<f64>, second: Option<f64>| match (first, second) {
            (None, None) => None,
            _ => Some(first.unwrap_or(0.0) + second.unwrap_or(0.0)),
        };
        let values = [
            ("orders_outbox", orders("outbox.rows").max()),
            ("processing_outbox", processing("outbox.rows").max()),
            ("orders_lag", known(orders_lag)),
            ("outcomes_lag", known(outcomes_lag)),
            (
                "retry_store",
                add(
                    orders("retry_store.events").max(),
                    processing("retry_store.events").max(),
                ),
            ),
            (
                "dead_letters",
                known(of_orders.and_then(|first| Ok(first + of_outcomes?))),
            ),
            ("breaker", orders("client.breaker.state").max()),
            ("shed", orders("grpc.server.calls.shed").sum()),
            (
                "accepted_rate",
                self.accepted.next(orders("orders.accepted").sum()),
            ),
            (
                "finished_rate",
                self.finished
                    .next(orders("orders.completion.duration").sum()),
            ),
        ];
        let known = values.into_iter();
        known
            .filter_map(|(name, value)| Some((name, rounded(value?))))
            .collect()
    }
}

/// The samples of a metric.
struct Named<'a>(Vec<&'a Sample>);

impl<'a> Named<'a> {
    fn of(samples: &'a [Sample], service: Service, name: &str) -> Self {
        let of_metric = |sample: &&Sample| sample.service == service.name() && sample.name == name;
        Self(samples.iter().filter(of_metric).collect())
    }

    /// For a value that every replica reports of the whole service.
    fn max(&self) -> Option<f64> {
        let values = self.0.iter().map(|sample| sample.value);
        values.reduce(f64::max)
    }

    /// For a value that replicas report of their own part.
    fn sum(&self) -> Option<f64> {
        let values = self.0.iter().map(|sample| sample.value);
        values.reduce(|first, second| first + second)
    }
}

/// No value while the broker does not answer.
fn known(records: Result<i64>) -> Option<f64> {
    records.ok().map(|records| records as f64)
}

impl CounterRate {
    /// Per second; `None` until there are two values, and after a restart of the process, whose counter begins anew.
    fn next(&mut self, count: Option<f64>) -> Option<f64> {
        let Some(count) = count else {
            self.0.clear();
            return None;
        };
        if self.0.back().is_some_and(|(_, last)| *last > count) {
            self.0.clear();
        }
        self.0.push_back((Instant::now(), count));
        if self.0.len() > RATE_OVER + 1 {
            self.0.pop_front();
        }
        let (since, first) = self.0.front().copied()?;
        let elapsed = since.elapsed().as_secs_f64();
        (self.0.len() > 1 && elapsed > 0.0).then(|| (count - first) / elapsed)
    }
}
