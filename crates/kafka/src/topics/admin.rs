//! Creates topics and reads their configuration with Kafka's admin API. Blocking.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;

use super::comparison::{compare, configuration};
use super::config::{TopicSpec, TopicsConfig};
use super::metadata::{Lookup, MetadataClient, Shape, Unreachable};
use super::report::{TopicReport, TopicState, TopicsError};
use crate::config::KafkaConfig;
use service::backoff::Backoff;

/// Timeout of the requests: long enough for a cluster that is starting.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// Timeout for the cluster to propagate a topic to all its brokers.
const PROPAGATION: Duration = Duration::from_secs(15);

/// Waits for a topic that was just created by another process to become visible.
const APPEARANCE: Backoff = Backoff {
    initial: Duration::from_millis(50),
    cap: Duration::from_secs(1),
};

pub(super) fn create(
    kafka: &KafkaConfig,
    config: TopicsConfig,
    specs: &[TopicSpec],
) -> Result<Vec<TopicReport>, TopicsError> {
    let admin = TopicAdmin::open(kafka)?;
    specs
        .iter()
        .map(|spec| admin.ensure(config, spec))
        .collect()
}

/// Two clients: one reads metadata, the other creates topics.
struct TopicAdmin {
    brokers: String,
    metadata: MetadataClient,
    admin: AdminClient<DefaultClientContext>,
    /// The runtime that drives the futures of the admin API.
    runtime: Handle,
}

impl TopicAdmin {
    fn open(kafka: &KafkaConfig) -> Result<Self, TopicsError> {
        Ok(Self {
            brokers: kafka.brokers.clone(),
            metadata: MetadataClient::new(kafka, WAIT_LIMIT).map_err(TopicsError::Client)?,
            admin: kafka.observer().create().map_err(TopicsError::Client)?,
            runtime: Handle::current(),
        })
    }

    /// Creates the topic, or compares it if it exists.
    fn ensure(&self, config: TopicsConfig, spec: &TopicSpec) -> Result<TopicReport, TopicsError> {
        if let Some(shape) = self.look_up(spec.name)? {
            return Ok(self.compare(config, spec, shape));
        }
        match self.create(config, spec)? {
            Creation::Done => Ok(TopicReport {
                name: spec.name,
                state: TopicState::Created,
            }),
            Creation::Existed => Ok(self.compare(config, spec, self.wait_for(spec.name)?)),
        }
    }

    fn look_up(&self, topic: &str) -> Result<Option<Shape>, TopicsError> {
        match self.metadata.look_up(topic) {
            Ok(Lookup::Found(shape)) => Ok(Some(shape)),
            Ok(Lookup::Missing) => Ok(None),
            Ok(Lookup::Denied(code)) => Err(TopicsError::Hidden {
                topic: topic.to_owned(),
                code,
            }),
            Err(Unreachable(reason)) => Err(TopicsError::Unreachable {
                brokers: self.brokers.clone(),
                reason,
            }),
        }
    }

    /// Waits for a topic that was just created by another process.
    fn wait_for(&self, topic: &str) -> Result<Shape, TopicsError> {
        for attempt in 1..=20 {
            if let Some(shape) = self.look_up(topic)? {
                return Ok(shape);
            }
            std::thread::sleep(APPEARANCE.delay(attempt));
        }
        Err(TopicsError::Hidden {
            topic: topic.to_owned(),
            code: RDKafkaErrorCode::UnknownTopicOrPartition,
        })
    }

    fn create(&self, config: TopicsConfig, spec: &TopicSpec) -> Result<Creation, TopicsError> {
        let replication = TopicReplication::Fixed(i32::from(config.replication));
        let topic = NewTopic::new(spec.name, i32::from(config.partitions), replication);
        let settings = configuration(config, spec);
        let topic = settings
            .iter()
            .fold(topic, |topic, (name, value)| topic.set(name, value));
        let options = AdminOptions::new()
            .request_timeout(Some(WAIT_LIMIT))
            .operation_timeout(Some(PROPAGATION));
        let answers = self
            .runtime
            .block_on(self.admin.create_topics([&topic], &options))
            .map_err(TopicsError::Request)?;
        for answer in answers {
            match answer {
                Ok(_) => {}
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => return Ok(Creation::Existed),
                Err((topic, code)) => {
                    let hint = self.hint(config, code);
                    return Err(TopicsError::Refused { topic, code, hint });
                }
            }
        }
        Ok(Creation::Done)
    }

    /// A possible cause of an error, for the operator.
    fn hint(&self, config: TopicsConfig, code: RDKafkaErrorCode) -> String {
        match (code, self.metadata.brokers()) {
            (RDKafkaErrorCode::InvalidReplicationFactor, Some(brokers)) => format!(
                "; KAFKA_TOPIC_REPLICATION requests {} copies, brokers: {brokers}",
                config.replication
            ),
            _ => String::new(),
        }
    }

    fn compare(&self, config: TopicsConfig, spec: &TopicSpec, shape: Shape) -> TopicReport {
        // A broker may be unable to describe configurations: these settings are reported as not compared.
        let found = self.describe(spec.name).unwrap_or_default();
        let (differences, not_compared) = compare(config, spec, shape, &found);
        TopicReport {
            name: spec.name,
            state: TopicState::Existed {
                differences,
                not_compared,
            },
        }
    }

    fn describe(&self, topic: &str) -> Result<HashMap<String, String>, KafkaError> {
        let options = AdminOptions::new().request_timeout(Some(PROPAGATION));
        let resource = ResourceSpecifier::Topic(topic);
        let answers = self
            .runtime
            .block_on(self.admin.describe_configs([&resource], &options))?;
        let mut found = HashMap::new();
        for entry in answers
            .into_iter()
            .flatten()
            .flat_map(|resource| resource.entries)
        {
            if let Some(value) = entry.value {
                found.insert(entry.name, value);
            }
        }
        Ok(found)
    }
}

enum Creation {
    Done,
    /// Another process created it first.
    Existed,
}
