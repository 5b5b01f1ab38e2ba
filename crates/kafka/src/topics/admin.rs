//! Creates topics and reads their configuration with Kafka's admin API. Blocking.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;

use super::config::{TopicSpec, TopicsConfig};
use super::limits::describe;
use super::metadata::{Lookup, MetadataClient, Shape, Unreachable};
use super::report::{TopicReport, configuration};
use crate::config::KafkaConfig;
use crate::names::TopicPrefix;
use service::backoff::Backoff;
use service::command_line::ExitError;

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
) -> Result<Vec<TopicReport>, ExitError> {
    let admin = TopicAdmin::open(kafka)?;
    specs
        .iter()
        .map(|spec| admin.ensure(config, spec))
        .collect()
}

/// Two clients: one reads metadata, the other creates topics.
struct TopicAdmin {
    brokers: String,
    prefix: TopicPrefix,
    metadata: MetadataClient,
    admin: AdminClient<DefaultClientContext>,
    /// The runtime that drives the futures of the admin API.
    runtime: Handle,
}

impl TopicAdmin {
    fn open(kafka: &KafkaConfig) -> Result<Self, ExitError> {
        let failed = failed("setting up the kafka client");
        Ok(Self {
            brokers: kafka.brokers.clone(),
            prefix: kafka.prefix.clone(),
            metadata: MetadataClient::new(kafka, WAIT_LIMIT).map_err(failed)?,
            admin: kafka.observer().create().map_err(failed)?,
            runtime: Handle::current(),
        })
    }

    /// Creates the topic, or compares it if it exists.
    fn ensure(&self, config: TopicsConfig, spec: &TopicSpec) -> Result<TopicReport, ExitError> {
        let name = self.prefix.apply(spec.name).into_owned();
        let shape = match self.look_up(&name)? {
            Some(shape) => shape,
            None if self.create(config, spec)? => return Ok(TopicReport::Created { name }),
            None => self.wait_for(&name)?,
        };
        // A broker may be unable to describe configurations: these settings are reported as not compared.
        let found = self.describe(&name).unwrap_or_default();
        Ok(TopicReport::compare(name, config, spec, shape, &found))
    }

    fn look_up(&self, topic: &str) -> Result<Option<Shape>, ExitError> {
        match self.metadata.look_up(topic) {
            Ok(Lookup::Found(shape)) => Ok(Some(shape)),
            Ok(Lookup::Missing) => Ok(None),
            Ok(Lookup::Denied(code)) => Err(hidden(topic, code)),
            Err(Unreachable(reason)) => Err(ExitError::failed(format!(
                "kafka at {} cannot be reached: {reason}",
                self.brokers
            ))),
        }
    }

    /// Waits for a topic that was just created by another process.
    fn wait_for(&self, topic: &str) -> Result<Shape, ExitError> {
        for attempt in 1..=20 {
            if let Some(shape) = self.look_up(topic)? {
                return Ok(shape);
            }
            std::thread::sleep(APPEARANCE.delay(attempt));
        }
        Err(hidden(topic, RDKafkaErrorCode::UnknownTopicOrPartition))
    }

    /// Returns false if another process has created the topic first.
    fn create(&self, config: TopicsConfig, spec: &TopicSpec) -> Result<bool, ExitError> {
        let replication = TopicReplication::Fixed(i32::from(config.replication));
        let name = self.prefix.apply(spec.name);
        let topic = NewTopic::new(&name, i32::from(config.partitions), replication);
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
            .map_err(failed("create-topics request"))?;
        for answer in answers {
            match answer {
                Ok(_) => {}
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => return Ok(false),
                Err((topic, code)) => {
                    let hint = self.hint(config, code);
                    let refused = format!("kafka refuses to create topic {topic}: {code}{hint}");
                    return Err(ExitError::failed(refused));
                }
            }
        }
        Ok(true)
    }

    /// A possible cause of an error, for the operator; begins with punctuation, may be empty.
    fn hint(&self, config: TopicsConfig, code: RDKafkaErrorCode) -> String {
        match (code, self.metadata.brokers()) {
            (RDKafkaErrorCode::InvalidReplicationFactor, Some(brokers)) => format!(
                "; KAFKA_TOPIC_REPLICATION requests {} copies, brokers: {brokers}",
                config.replication
            ),
            _ => String::new(),
        }
    }

    fn describe(&self, topic: &str) -> Result<HashMap<String, String>, KafkaError> {
        let described = describe(&self.admin, &self.runtime, &[topic], PROPAGATION)?;
        let entries = described.into_iter().flat_map(|it| it.entries);
        Ok(entries
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect())
    }
}

fn failed(operation: &'static str) -> impl Fn(KafkaError) -> ExitError + Copy {
    move |error| ExitError::failed(error).context(operation)
}

fn hidden(topic: &str, code: RDKafkaErrorCode) -> ExitError {
    ExitError::failed(format!("kafka does not describe topic {topic}: {code}"))
}
