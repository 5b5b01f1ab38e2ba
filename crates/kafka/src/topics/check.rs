//! The check of topics before a service is ready: names, numbers of partitions and message size limits, in bounded time.

use std::time::Duration;

use super::config::TopicsConfig;
use super::limits;
use super::metadata::{Lookup, MetadataClient};
use crate::config::KafkaConfig;
use service::backoff::Backoff;

/// Timeout of one check: an answer takes milliseconds, so after this time Kafka is unavailable.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// Waits between two checks of wrong topics: the job that creates them may be running.
const RECHECK_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(500),
    cap: Duration::from_secs(5),
};

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicsCheck {
    /// All topics exist, with enough partitions and room for every dead letter.
    Fine,
    /// No broker answered; the text is the last error of the client.
    Unreachable(String),
    /// One sentence per wrong topic.
    Wrong(Vec<String>),
}

/// Checks that these topics, named without the prefix, exist, have at least the configured partitions, and that a dead-letter
/// topic (`<topic>.dlq`) takes whatever its topic takes. A limit that the broker does not let it read is not compared. Takes
/// about 3 s at most.
pub async fn check(kafka: &KafkaConfig, config: TopicsConfig, names: &[&str]) -> TopicsCheck {
    let kafka = kafka.clone();
    let names = names
        .iter()
        .map(|name| kafka.prefix.apply(name).into_owned());
    let names: Vec<String> = names.collect();
    // The client blocks, also while it is created and dropped.
    tokio::task::spawn_blocking(move || check_blocking(&kafka, config, &names))
        .await
        .unwrap_or_else(|_| TopicsCheck::Unreachable("the check was interrupted".to_owned()))
}

fn check_blocking(kafka: &KafkaConfig, config: TopicsConfig, names: &[String]) -> TopicsCheck {
    let client = match MetadataClient::new(kafka, CHECK_TIMEOUT) {
        Ok(client) => client,
        Err(error) => return TopicsCheck::Unreachable(error.to_string()),
    };
    let mut wrong = Vec::new();
    for name in names {
        match client.look_up(name) {
            Ok(lookup) => wrong.extend(problem(name, &lookup, config.partitions)),
            Err(unreachable) => return TopicsCheck::Unreachable(unreachable.0),
        }
    }
    if wrong.is_empty() {
        wrong = limits::problems(kafka, names, client.time_left());
    }
    if wrong.is_empty() {
        TopicsCheck::Fine
    } else {
        TopicsCheck::Wrong(wrong)
    }
}

/// The problem of a topic, if it has one. More partitions than expected are accepted: an operator has added them.
fn problem(name: &str, lookup: &Lookup, partitions: u16) -> Option<String> {
    match lookup {
        Lookup::Found(shape) if shape.partitions >= usize::from(partitions) => None,
        Lookup::Found(shape) => Some(format!(
            "topic {name} has {} partitions, KAFKA_TOPIC_PARTITIONS expects {partitions}",
            shape.partitions
        )),
        Lookup::Missing => Some(format!("topic {name} is missing")),
        Lookup::Denied(code) => Some(format!("topic {name} cannot be described: {code}")),
    }
}

/// Waits while Kafka reports that one of these topics is missing or has too few partitions. Returns at once when Kafka is
/// unreachable at the first attempt.
pub async fn settled(kafka: &KafkaConfig, config: TopicsConfig, names: &[&str]) {
    let mut known = Vec::new();
    for attempt in 1.. {
        match check(kafka, config, names).await {
            TopicsCheck::Fine => {
                if !known.is_empty() {
                    tracing::info!("topics are correct");
                }
                return;
            }
            TopicsCheck::Unreachable(reason) if known.is_empty() => {
                tracing::warn!(error = reason, "kafka unreachable, topics not checked");
                return;
            }
            // The earlier answer still holds.
            TopicsCheck::Unreachable(_) => {}
            TopicsCheck::Wrong(problems) if problems == known => {}
            TopicsCheck::Wrong(problems) => {
                tracing::error!(
                    problems = problems.join("; "),
                    "topics missing or wrong, not ready: the service that writes a topic creates it with its `topics` command"
                );
                known = problems;
            }
        }
        tokio::time::sleep(RECHECK_BACKOFF.delay(attempt)).await;
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode;

    use super::super::metadata::Shape;
    use super::*;

    #[test]
    fn a_topic_is_wrong_when_it_is_missing_not_described_or_too_small() {
        let found = |partitions| {
            Lookup::Found(Shape {
                partitions,
                replication: 1,
            })
        };

        assert_eq!(problem("t", &found(6), 6), None);
        assert_eq!(problem("t", &found(12), 6), None);
        assert_eq!(
            problem("t", &found(3), 6).unwrap(),
            "topic t has 3 partitions, KAFKA_TOPIC_PARTITIONS expects 6"
        );
        assert_eq!(
            problem("t", &Lookup::Missing, 6).unwrap(),
            "topic t is missing"
        );
        let denied = Lookup::Denied(RDKafkaErrorCode::TopicAuthorizationFailed);
        assert!(problem("t", &denied, 6).is_some());
    }
}
