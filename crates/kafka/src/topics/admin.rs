//! Creates topics and reads their configuration through Kafka's admin API. Blocking.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;

use super::cluster::{Cluster, Lookup, Shape, Unreachable};
use super::comparison::{compare, configuration};
use super::{TopicReport, TopicSpec, TopicState, TopicsConfig, TopicsError};
use crate::KafkaConfig;
use service::backoff::Backoff;

/// A person or a job waits for this: long enough for a cluster that is just starting to answer.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// How long the cluster may take to make a topic known to all its brokers.
const PROPAGATION: Duration = Duration::from_secs(15);

/// Waits for a topic that somebody else created a moment ago to be seen.
const APPEARANCE: Backoff = Backoff {
    initial: Duration::from_millis(50),
    cap: Duration::from_secs(1),
};

pub(super) fn create(
    kafka: &KafkaConfig,
    config: TopicsConfig,
    specs: &[TopicSpec],
) -> Result<Vec<TopicReport>, TopicsError> {
    let session = Session::open(kafka)?;
    specs
        .iter()
        .map(|spec| session.ensure(config, spec))
        .collect()
}

/// Both clients: questions go through one, changes through the other.
struct Session {
    brokers: String,
    cluster: Cluster,
    admin: AdminClient<DefaultClientContext>,
    /// The runtime that this blocking work was begun from: the admin API answers with futures.
    runtime: Handle,
}

impl Session {
    fn open(kafka: &KafkaConfig) -> Result<Self, TopicsError> {
        Ok(Self {
            brokers: kafka.brokers.clone(),
            cluster: Cluster::new(kafka, WAIT_LIMIT).map_err(TopicsError::Client)?,
            admin: kafka.observer().create().map_err(TopicsError::Client)?,
            runtime: Handle::current(),
        })
    }

    /// Creates the topic or, if it exists, compares it.
    fn ensure(&self, config: TopicsConfig, spec: &TopicSpec) -> Result<TopicReport, TopicsError> {
        if let Some(shape) = self.look_up(spec.name)? {
            return Ok(self.compare(config, spec, shape));
        }
        match self.create(config, spec)? {
            Creation::Done => Ok(TopicReport {
                name: spec.name,
                state: TopicState::Created,
                not_compared: Vec::new(),
            }),
            Creation::Existed => Ok(self.compare(config, spec, self.wait_for(spec.name)?)),
        }
    }

    fn look_up(&self, topic: &str) -> Result<Option<Shape>, TopicsError> {
        match self.cluster.look_up(topic) {
            Ok(Lookup::Found(shape)) => Ok(Some(shape)),
            Ok(Lookup::Missing) => Ok(None),
            Ok(Lookup::Refused(code)) => Err(TopicsError::Hidden {
                topic: topic.to_owned(),
                code,
            }),
            Err(Unreachable(reason)) => Err(TopicsError::Unreachable {
                brokers: self.brokers.clone(),
                reason,
            }),
        }
    }

    /// Waits for a topic that exists to be seen: whoever created it did so just now.
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

    /// What an operator would otherwise have to find out.
    fn hint(&self, config: TopicsConfig, code: RDKafkaErrorCode) -> String {
        match (code, self.cluster.brokers()) {
            (RDKafkaErrorCode::InvalidReplicationFactor, Some(brokers)) => format!(
                "; KAFKA_TOPIC_REPLICATION asks for {} copies, brokers: {brokers}",
                config.replication
            ),
            _ => String::new(),
        }
    }

    fn compare(&self, config: TopicsConfig, spec: &TopicSpec, shape: Shape) -> TopicReport {
        // A broker that cannot describe configurations is no obstacle: what it does not tell is reported as such.
        let found = self.describe(spec.name).unwrap_or_default();
        let (differences, not_compared) = compare(config, spec, shape, &found);
        TopicReport {
            name: spec.name,
            state: if differences.is_empty() {
                TopicState::AsAsked
            } else {
                TopicState::Differs(differences)
            },
            not_compared,
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

/// What became of a request to create a topic.
enum Creation {
    Done,
    /// Somebody was faster.
    Existed,
}
