//! The check of the message size limits of topics: whatever a topic takes must have room on its dead-letter topic.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;

use crate::config::KafkaConfig;
use crate::properties::{BATCH_BYTES, MAX_RECORD_BYTES};

/// The dead-letter topic of a topic has its name and this suffix.
const DEAD_LETTERS: &str = ".dlq";

/// Room for the headers that a dead letter has in addition to its record: thirteen, of which the reason is the longest with
/// 1 KiB; in total about 2 KiB.
const DEAD_LETTER_HEADERS: u32 = 16 * 1024;

/// The problems of these topics, one sentence each. Empty if the broker does not report the limits: it may be unable to, or
/// deny it (`DESCRIBE_CONFIGS`).
pub(super) fn problems(kafka: &KafkaConfig, names: &[String], timeout: Duration) -> Vec<String> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match read_limits(kafka, &names, timeout) {
        Ok(limits) => compare(&names, &limits),
        Err(error) => {
            tracing::info!(%error, "message size limits of topics not checked");
            Vec::new()
        }
    }
}

/// Reads the configuration of topics. Blocking.
pub(super) fn describe(
    admin: &AdminClient<DefaultClientContext>,
    runtime: &Handle,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<ConfigResource>, KafkaError> {
    let options = AdminOptions::new().request_timeout(Some(timeout));
    let resources: Vec<_> = topics
        .iter()
        .map(|topic| ResourceSpecifier::Topic(topic))
        .collect();
    let answers = runtime.block_on(admin.describe_configs(&resources, &options))?;
    // A topic that is not described is left out.
    Ok(answers.into_iter().flatten().collect())
}

fn read_limits(
    kafka: &KafkaConfig,
    names: &[&str],
    timeout: Duration,
) -> Result<HashMap<String, u32>, KafkaError> {
    let admin = kafka.observer().create()?;
    let described = describe(&admin, &Handle::current(), names, timeout)?;
    Ok(described.into_iter().filter_map(limit_of).collect())
}

fn limit_of(resource: ConfigResource) -> Option<(String, u32)> {
    let OwnedResourceSpecifier::Topic(name) = resource.specifier else {
        return None;
    };
    let mut entries = resource.entries.into_iter();
    let limit = entries.find(|entry| entry.name == "max.message.bytes")?;
    Some((name, limit.value?.parse().ok()?))
}

fn compare(names: &[&str], limits: &HashMap<String, u32>) -> Vec<String> {
    let mut problems = Vec::new();
    for name in names {
        let Some(limit) = limits.get(*name) else {
            continue;
        };
        if *limit < BATCH_BYTES {
            problems.push(format!(
                "topic {name} takes {limit} bytes (max.message.bytes), a batch of events has up to {BATCH_BYTES}"
            ));
        }
        let consumed = name.strip_suffix(DEAD_LETTERS);
        let Some((consumed, taken)) = consumed.and_then(|name| limits.get_key_value(name)) else {
            continue;
        };
        let needed = taken.saturating_add(DEAD_LETTER_HEADERS);
        if *limit < needed {
            problems.push(format!(
                "topic {name} takes {limit} bytes (max.message.bytes), a dead letter of {consumed} has up to {needed}"
            ));
        }
        if needed > MAX_RECORD_BYTES {
            problems.push(format!(
                "topic {consumed} takes {taken} bytes (max.message.bytes), its dead letters can have {MAX_RECORD_BYTES} with their headers"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::config::{DEAD_LETTER_BYTES, EVENT_BYTES};
    use super::*;

    const NAMES: [&str; 3] = ["written", "read", "read.dlq"];

    fn problems(limits: [u32; 3]) -> Vec<String> {
        let limits = NAMES.map(str::to_owned).into_iter().zip(limits);
        compare(&NAMES, &limits.collect())
    }

    #[test]
    fn topics_as_they_are_created_have_no_problem() {
        let created = [EVENT_BYTES, EVENT_BYTES, DEAD_LETTER_BYTES];

        assert!(problems(created).is_empty());
    }

    #[test]
    fn a_dead_letter_topic_with_the_default_limit_of_a_broker_is_too_small() {
        assert_eq!(
            problems([EVENT_BYTES; 3]),
            [
                "topic read.dlq takes 1048588 bytes (max.message.bytes), a dead letter of read has up to 1064972"
            ]
        );
    }

    #[test]
    fn a_topic_that_takes_less_than_a_batch_or_more_than_a_dead_letter_can_have_is_wrong() {
        let limits = [BATCH_BYTES - 1, MAX_RECORD_BYTES, u32::MAX];

        let problems = problems(limits);

        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("topic written takes 999999 bytes"));
        assert!(problems[1].contains("topic read takes 16777216 bytes"));
    }

    #[test]
    fn a_limit_that_is_not_known_is_no_problem() {
        assert!(compare(&NAMES, &HashMap::new()).is_empty());
    }
}
