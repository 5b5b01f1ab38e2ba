//! Topics as code: what a service's topics must look like, created on demand and checked before it is ready.
//!
//! * [`create`] makes what is missing and compares what exists. It never changes a topic: partitions cannot be taken
//!   back, more of them move keys elsewhere, and a shorter retention deletes. A difference is for a person to settle.
//! * [`check`] asks for names and partitions only, in bounded time; [`settled`] waits until they are right. Kafka being
//!   away is no reason to wait: a service without Kafka still takes orders, but one whose topics are wrong would take
//!   orders that nobody can process.

use std::fmt;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::KafkaConfig;
use service::backoff::Backoff;
use service::command_line::{Command, ExitError};
use service::config::{ConfigError, Settings};

mod admin;
mod cluster;
mod comparison;

use cluster::{Cluster, Lookup};

pub use comparison::Difference;

/// How long readiness waits for Kafka's answer: an answer takes milliseconds, so this is Kafka being away.
const CHECK: Duration = Duration::from_secs(3);

/// Waits between two checks of topics that are wrong: the job that creates them may be running.
const RECHECK: Backoff = Backoff {
    initial: Duration::from_millis(500),
    cap: Duration::from_secs(5),
};

/// A topic and what is its own; the rest is alike for all ([`TopicsConfig`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: &'static str,
    /// How long records are kept; then they are deleted.
    pub retention: Duration,
}

/// What all topics of a system have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicsConfig {
    /// Partitions of each topic.
    pub partitions: u16,
    /// Copies of each partition.
    pub replication: u16,
    /// Copies that must have a record before it counts as acknowledged.
    pub min_insync: u16,
}

impl TopicsConfig {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let config = Self {
            partitions: settings.value(
                "KAFKA_TOPIC_PARTITIONS",
                "6",
                "partitions that each topic must have: `topics` creates so many, and with fewer the service is not ready",
            ),
            replication: settings.value(
                "KAFKA_TOPIC_REPLICATION",
                "3",
                "copies of each partition of the topics that `topics` creates, at most one per broker",
            ),
            min_insync: settings.value(
                "KAFKA_TOPIC_MIN_INSYNC",
                "2",
                "copies that must have a record before it is acknowledged (min.insync.replicas), for the topics that `topics` creates",
            ),
        };
        config.reject_mistakes(settings);
        config
    }

    fn reject_mistakes(&self, settings: &mut Settings<'_>) {
        for (name, value) in [
            ("KAFKA_TOPIC_PARTITIONS", self.partitions),
            ("KAFKA_TOPIC_REPLICATION", self.replication),
            ("KAFKA_TOPIC_MIN_INSYNC", self.min_insync),
        ] {
            // Kafka counts replicas in 16 bits with a sign.
            if value == 0 || i16::try_from(value).is_err() {
                settings.reject(name, format!("must be from 1 to {}", i16::MAX));
            }
        }
        if self.min_insync > self.replication {
            settings.reject(
                "KAFKA_TOPIC_MIN_INSYNC",
                "must be at most KAFKA_TOPIC_REPLICATION: with fewer copies nothing would ever be acknowledged",
            );
        }
    }
}

/// What [`create`] did with a topic. Its display is for the person who ran it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReport {
    /// The topic.
    pub name: &'static str,
    /// What became of it.
    pub state: TopicState,
    /// What the broker does not tell about an existing topic.
    pub not_compared: Vec<&'static str>,
}

/// What became of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicState {
    /// It was missing and exists now.
    Created,
    /// It existed, just so.
    AsAsked,
    /// It existed otherwise, and was left so.
    Differs(Vec<Difference>),
}

impl TopicReport {
    /// Whether the topic is now what was asked for, as far as the broker tells.
    pub fn is_as_asked(&self) -> bool {
        !matches!(self.state, TopicState::Differs(_))
    }
}

impl fmt::Display for TopicReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            TopicState::Created => write!(formatter, "{}: created", self.name)?,
            TopicState::AsAsked => write!(formatter, "{}: exists as asked", self.name)?,
            TopicState::Differs(differences) => {
                write!(formatter, "{}: exists otherwise, left unchanged", self.name)?;
                for difference in differences {
                    write!(formatter, "\n  {difference}")?;
                }
            }
        }
        if !self.not_compared.is_empty() {
            let settings = self.not_compared.join(", ");
            write!(
                formatter,
                "\n  not compared, since the broker does not tell: {settings}"
            )?;
        }
        Ok(())
    }
}

/// Why topics could not be created.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    /// The client could not be created.
    #[error("setting up the kafka client")]
    Client(#[source] KafkaError),
    /// No broker answered.
    #[error("kafka at {brokers} cannot be reached: {reason}")]
    Unreachable {
        /// The brokers that were tried.
        brokers: String,
        /// What the client said last.
        reason: String,
    },
    /// A request failed as a whole.
    #[error("asking kafka to create topics")]
    Request(#[source] KafkaError),
    /// The broker refused one topic.
    #[error("kafka refuses to create topic {topic}: {code}{hint}")]
    Refused {
        /// The topic.
        topic: String,
        /// The broker's answer.
        code: RDKafkaErrorCode,
        /// What may be behind it; begins with punctuation, may be empty.
        hint: String,
    },
    /// The broker does not tell what a topic looks like.
    #[error("kafka does not describe topic {topic}: {code}")]
    Hidden {
        /// The topic.
        topic: String,
        /// The broker's answer.
        code: RDKafkaErrorCode,
    },
    /// The runtime is going down.
    #[error("creating topics was interrupted")]
    Interrupted,
}

/// The subcommand `topics`: creates the topics that are missing and reports those that differ.
pub fn command(
    config: impl FnOnce() -> Result<(KafkaConfig, TopicsConfig), ConfigError> + 'static,
    topics: &'static [TopicSpec],
) -> Command {
    let about = "Create the Kafka topics that the service writes and end; differences of existing ones are an error";
    Command::new("topics", about, async move || {
        let (kafka, config) = config()?;
        let reports = create(&kafka, config, topics)
            .await
            .map_err(ExitError::failed)?;
        for report in &reports {
            println!("{report}");
        }
        if reports.iter().all(TopicReport::is_as_asked) {
            return Ok(());
        }
        Err(ExitError::failed("a topic exists otherwise than asked for"))
    })
}

/// Creates the topics that are missing and compares those that exist. Can be run any number of times.
pub async fn create(
    kafka: &KafkaConfig,
    config: TopicsConfig,
    specs: &[TopicSpec],
) -> Result<Vec<TopicReport>, TopicsError> {
    let kafka = kafka.clone();
    let specs = specs.to_vec();
    // The client blocks, also while it is created and dropped.
    tokio::task::spawn_blocking(move || admin::create(&kafka, config, &specs))
        .await
        .unwrap_or(Err(TopicsError::Interrupted))
}

/// What Kafka says about topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicsCheck {
    /// All exist with enough partitions.
    Fine,
    /// Nobody answered; the reason is the client's.
    Unreachable(String),
    /// One sentence for each topic that is wrong.
    Wrong(Vec<String>),
}

/// Asks Kafka whether these topics exist and have at least the configured partitions. Takes about 3 s at most.
pub async fn check(kafka: &KafkaConfig, config: TopicsConfig, names: &[&str]) -> TopicsCheck {
    let kafka = kafka.clone();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    // The client blocks, also while it is created and dropped.
    tokio::task::spawn_blocking(move || check_blocking(&kafka, config, &names))
        .await
        .unwrap_or_else(|_| TopicsCheck::Unreachable("the check was interrupted".to_owned()))
}

fn check_blocking(kafka: &KafkaConfig, config: TopicsConfig, names: &[String]) -> TopicsCheck {
    let cluster = match Cluster::new(kafka, CHECK) {
        Ok(cluster) => cluster,
        Err(error) => return TopicsCheck::Unreachable(error.to_string()),
    };
    let mut wrong = Vec::new();
    for name in names {
        match cluster.look_up(name) {
            Ok(lookup) => wrong.extend(fault(name, &lookup, config.partitions)),
            Err(unreachable) => return TopicsCheck::Unreachable(unreachable.0),
        }
    }
    if wrong.is_empty() {
        TopicsCheck::Fine
    } else {
        TopicsCheck::Wrong(wrong)
    }
}

/// What is wrong with a topic, if anything is. More partitions than expected are fine: somebody has grown it.
fn fault(name: &str, lookup: &Lookup, partitions: u16) -> Option<String> {
    match lookup {
        Lookup::Found(shape) if shape.partitions >= usize::from(partitions) => None,
        Lookup::Found(shape) => Some(format!(
            "topic {name} has {} partitions, KAFKA_TOPIC_PARTITIONS expects {partitions}",
            shape.partitions
        )),
        Lookup::Missing => Some(format!("topic {name} is missing")),
        Lookup::Refused(code) => Some(format!("topic {name} may not be looked at: {code}")),
    }
}

/// Waits until Kafka does not say, or no longer says, that one of these topics is missing or too small. Ends at once
/// when Kafka cannot be reached at the first attempt: then there is nothing to wait for.
pub async fn settled(kafka: &KafkaConfig, config: TopicsConfig, names: &[&str]) {
    let mut known = Vec::new();
    for attempt in 1.. {
        match check(kafka, config, names).await {
            TopicsCheck::Fine => {
                if !known.is_empty() {
                    tracing::info!("topics are in order");
                }
                return;
            }
            TopicsCheck::Unreachable(reason) if known.is_empty() => {
                tracing::warn!(
                    error = reason,
                    "kafka cannot be reached, topics were not checked"
                );
                return;
            }
            // What it said before still holds.
            TopicsCheck::Unreachable(_) => {}
            TopicsCheck::Wrong(faults) if faults == known => {}
            TopicsCheck::Wrong(faults) => {
                tracing::error!(
                    faults = faults.join("; "),
                    "not ready until the topics are right: the service that writes a topic creates it with its `topics` command"
                );
                known = faults;
            }
        }
        tokio::time::sleep(RECHECK.delay(attempt)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::cluster::Shape;
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<TopicsConfig, Vec<String>> {
        let source: BTreeMap<String, String> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut settings = Settings::new(&source);
        let config = TopicsConfig::read(&mut settings);
        settings
            .finish(config)
            .map_err(|error| error.mistakes().to_vec())
    }

    #[test]
    fn the_defaults_survive_one_broker() {
        let config = read(&[]).unwrap();

        assert!(
            config.min_insync > 1,
            "one copy would be lost with its broker"
        );
        assert!(
            config.min_insync < config.replication,
            "one broker away would stop all writing"
        );
    }

    #[test]
    fn more_copies_in_sync_than_copies_are_refused() {
        let mistakes = read(&[("KAFKA_TOPIC_REPLICATION", "1")]).unwrap_err();

        assert_eq!(mistakes.len(), 1);
        assert!(
            mistakes[0]
                .starts_with("KAFKA_TOPIC_MIN_INSYNC: must be at most KAFKA_TOPIC_REPLICATION"),
            "{mistakes:?}"
        );
    }

    #[test]
    fn counts_that_kafka_cannot_have_are_refused() {
        let mistakes = read(&[
            ("KAFKA_TOPIC_PARTITIONS", "0"),
            ("KAFKA_TOPIC_REPLICATION", "40000"),
        ])
        .unwrap_err();

        assert_eq!(
            mistakes,
            [
                "KAFKA_TOPIC_PARTITIONS: must be from 1 to 32767",
                "KAFKA_TOPIC_REPLICATION: must be from 1 to 32767",
            ]
        );
    }

    #[test]
    fn a_topic_is_wrong_when_it_is_missing_hidden_or_too_small() {
        let found = |partitions| {
            Lookup::Found(Shape {
                partitions,
                replication: 1,
            })
        };

        assert_eq!(fault("t", &found(6), 6), None);
        assert_eq!(fault("t", &found(12), 6), None);
        assert_eq!(
            fault("t", &found(3), 6).unwrap(),
            "topic t has 3 partitions, KAFKA_TOPIC_PARTITIONS expects 6"
        );
        assert_eq!(
            fault("t", &Lookup::Missing, 6).unwrap(),
            "topic t is missing"
        );
        let hidden = Lookup::Refused(RDKafkaErrorCode::TopicAuthorizationFailed);
        assert!(fault("t", &hidden, 6).is_some());
    }

    #[test]
    fn a_report_tells_a_person_what_is_different() {
        let report = TopicReport {
            name: "events",
            state: TopicState::Differs(vec![Difference {
                setting: "partitions",
                asked: "6".to_owned(),
                found: "3".to_owned(),
            }]),
            not_compared: vec!["retention.ms"],
        };

        assert!(!report.is_as_asked());
        assert_eq!(
            report.to_string(),
            "events: exists otherwise, left unchanged\n  partitions: asked for 6, found 3\n  not compared, since the broker does not tell: retention.ms"
        );
    }
}
