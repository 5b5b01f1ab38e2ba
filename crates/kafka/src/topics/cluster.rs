//! What a cluster says about its topics, by metadata alone. Blocking.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;

use crate::KafkaConfig;

/// Long enough to serve the callbacks that are queued.
const CALLBACKS: Duration = Duration::from_millis(10);

/// A connection for questions, until its deadline.
pub(super) struct Cluster {
    /// A consumer without a group, since the metadata requests of a producer may create the topic that they ask for.
    client: BaseConsumer<Reasons>,
    deadline: Instant,
}

/// Nobody answered: the last word of the client on why.
#[derive(Debug)]
pub(super) struct Unreachable(pub(super) String);

/// What the cluster says about a topic.
#[derive(Debug)]
pub(super) enum Lookup {
    Found(Shape),
    Missing,
    /// It does not say.
    Refused(RDKafkaErrorCode),
}

/// What metadata tells about a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) partitions: usize,
    /// Copies of the partition that has the fewest.
    pub(super) replication: usize,
}

impl Cluster {
    /// Connects when it is asked something; all answers together may take `patience`.
    pub(super) fn new(kafka: &KafkaConfig, retry_policy: Duration) -> Result<Self, KafkaError> {
        let client = kafka.observer().create_with_context(Reasons::default())?;
        Ok(Self {
            client,
            deadline: Instant::now() + retry_policy,
        })
    }

    /// What the topic looks like.
    pub(super) fn look_up(&self, topic: &str) -> Result<Lookup, Unreachable> {
        let metadata = self
            .client
            .fetch_metadata(Some(topic), self.time_left())
            .map_err(|error| self.unreachable(&error))?;
        match metadata.topics().first() {
            Some(topic) => judge(topic),
            None => Ok(Lookup::Missing),
        }
    }

    /// How many brokers there are, if that is known.
    pub(super) fn brokers(&self) -> Option<usize> {
        let metadata = self.client.fetch_metadata(None, self.time_left()).ok()?;
        Some(metadata.brokers().len())
    }

    fn time_left(&self) -> Duration {
        // Zero would mean to librdkafka: without end.
        let left = self.deadline.saturating_duration_since(Instant::now());
        left.max(Duration::from_millis(1))
    }

    fn unreachable(&self, error: &KafkaError) -> Unreachable {
        // Serves the callbacks that carry the reason: the error itself says no more than that time is up.
        while self.client.poll(CALLBACKS).is_some() {}
        let reason = self.client.context().take();
        Unreachable(reason.unwrap_or_else(|| error.to_string()))
    }
}

fn judge(topic: &MetadataTopic) -> Result<Lookup, Unreachable> {
    let partitions = topic.partitions();
    match topic.error().map(RDKafkaErrorCode::from) {
        None => Ok(Lookup::Found(Shape {
            partitions: partitions.len(),
            replication: partitions
                .iter()
                .map(|partition| partition.replicas().len())
                .min()
                .unwrap_or_default(),
        })),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok(Lookup::Missing)
        }
        // On its way into being, or on its way between brokers.
        Some(code @ RDKafkaErrorCode::LeaderNotAvailable) => Err(Unreachable(code.to_string())),
        Some(code) => Ok(Lookup::Refused(code)),
    }
}

/// Keeps why brokers cannot be reached; whoever asked reports it.
#[derive(Debug, Default)]
struct Reasons(Mutex<Option<String>>);

impl Reasons {
    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Reasons {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // Follows every other reason and says less.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(reason.to_owned());
    }
}

impl ConsumerContext for Reasons {}
