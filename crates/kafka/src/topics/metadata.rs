//! Reads the metadata of topics. Blocking; creates nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;

use crate::config::KafkaConfig;

/// Long enough to serve the queued callbacks.
const CALLBACK_POLL: Duration = Duration::from_millis(10);

/// A metadata client with a deadline for all its requests.
pub(super) struct MetadataClient {
    /// A consumer without a group: the metadata requests of a producer may create the topic.
    client: BaseConsumer<LastError>,
    deadline: Instant,
}

/// No broker answered: the last error of the client.
#[derive(Debug)]
pub(super) struct Unreachable(pub(super) String);

/// The metadata of a topic.
#[derive(Debug)]
pub(super) enum Lookup {
    Found(Shape),
    Missing,
    /// The broker does not describe it.
    Denied(RDKafkaErrorCode),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) partitions: usize,
    /// Copies of the partition that has the fewest.
    pub(super) replication: usize,
}

impl MetadataClient {
    /// Connects at the first request; `timeout` bounds all requests together.
    pub(super) fn new(kafka: &KafkaConfig, timeout: Duration) -> Result<Self, KafkaError> {
        let client = kafka.observer().create_with_context(LastError::default())?;
        Ok(Self {
            client,
            deadline: Instant::now() + timeout,
        })
    }

    pub(super) fn look_up(&self, topic: &str) -> Result<Lookup, Unreachable> {
        let metadata = self
            .client
            .fetch_metadata(Some(topic), self.time_left())
            .map_err(|error| self.unreachable(&error))?;
        match metadata.topics().first() {
            Some(topic) => lookup_of(topic),
            None => Ok(Lookup::Missing),
        }
    }

    /// The number of brokers, if it is known.
    pub(super) fn brokers(&self) -> Option<usize> {
        let metadata = self.client.fetch_metadata(None, self.time_left()).ok()?;
        Some(metadata.brokers().len())
    }

    /// Until the deadline.
    pub(super) fn time_left(&self) -> Duration {
        // librdkafka takes zero as no timeout.
        let left = self.deadline.saturating_duration_since(Instant::now());
        left.max(Duration::from_millis(1))
    }

    fn unreachable(&self, error: &KafkaError) -> Unreachable {
        // Serves the callbacks that carry the reason: the error itself is only a timeout.
        while self.client.poll(CALLBACK_POLL).is_some() {}
        let reason = self.client.context().take();
        Unreachable(reason.unwrap_or_else(|| error.to_string()))
    }
}

fn lookup_of(topic: &MetadataTopic) -> Result<Lookup, Unreachable> {
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
        // It is being created or moved between brokers.
        Some(code @ RDKafkaErrorCode::LeaderNotAvailable) => Err(Unreachable(code.to_string())),
        Some(code) => Ok(Lookup::Denied(code)),
    }
}

/// Keeps the last client error, for the caller to report.
#[derive(Debug, Default)]
struct LastError(Mutex<Option<String>>);

impl LastError {
    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for LastError {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // Follows every other error and has no detail.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(reason.to_owned());
    }
}

impl ConsumerContext for LastError {}
