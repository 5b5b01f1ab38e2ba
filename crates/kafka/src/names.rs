//! The names of an installation at Kafka. Installations that share a Kafka differ in their [`TopicPrefix`]: without one, two
//! of them consume each other's events.
//!
//! Code, outbox and events hold the names of the contract; the tables of the consumer hold the names at Kafka. This crate, the consumer and the relay put the prefix in front of what
//! Kafka sees: topics, consumer groups and client ids. No other name is shared: nothing here sets `group.instance.id` or
//! `transactional.id`.

use std::borrow::Cow;
use std::sync::Arc;

use service::config::{FromSetting, Settings};

/// The setting that names an installation.
pub const PREFIX_SETTING: &str = "KAFKA_TOPIC_PREFIX";

/// Kafka's limit for the name of a topic, in bytes.
const MAX_TOPIC_NAME: usize = 249;

/// What an installation puts in front of its names at Kafka; empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPrefix(Arc<str>);

impl TopicPrefix {
    /// Reads the prefix of a service that uses these topics, its dead-letter topic included.
    pub(crate) fn read(settings: &mut Settings<'_>, topics: &[&str]) -> Self {
        let prefix: Option<Self> = settings.optional(
            PREFIX_SETTING,
            "prefix of all topics, consumer groups and client ids, such as `shop-a.`; installations that share a Kafka need different ones, both services of one the same, and an existing database refuses another one",
        );
        let prefix = prefix.unwrap_or_default();
        let longest = topics.iter().map(|name| name.len()).max().unwrap_or(0);
        let limit = MAX_TOPIC_NAME.saturating_sub(longest);
        settings.require(
            prefix.0.len() <= limit,
            PREFIX_SETTING,
            format_args!(
                "must have at most {limit} characters: a topic's name has at most {MAX_TOPIC_NAME}, and the longest without the prefix has {longest}"
            ),
        );
        prefix
    }

    /// The name at Kafka.
    pub fn apply<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(name);
        }
        Cow::Owned(format!("{}{name}", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromSetting for TopicPrefix {
    fn from_setting(text: &str) -> Result<Self, String> {
        if text.chars().all(is_legal) {
            return Ok(Self(Arc::from(text)));
        }
        Err("only the characters of a topic's name, `a-z A-Z 0-9 . _ -`".to_owned())
    }
}

/// Whether Kafka allows the character in a topic's name and, in metrics and quotas, in a client id.
fn is_legal(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

/// The `client.id` of all clients of a process, which brokers show in logs, metrics and quotas: service and replica.
pub(crate) fn client_id(prefix: &TopicPrefix, service: &str) -> String {
    let host = host_name();
    let host = host.trim().replace(|it| !is_legal(it), "-");
    format!("{}{service}.{host}", prefix.0)
}

/// In Kubernetes the name of the pod.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::env::var("HOSTNAME").map_err(std::io::Error::other))
        .unwrap_or_else(|_| "unknown-host".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const TOPICS: [&str; 2] = ["events", "events.dlq"];

    fn read(text: &str) -> Result<TopicPrefix, Vec<String>> {
        let source = BTreeMap::from([(PREFIX_SETTING.to_owned(), text.to_owned())]);
        let mut settings = Settings::new(&source);
        let prefix = TopicPrefix::read(&mut settings, &TOPICS);
        let finished = settings.finish(prefix);
        finished.map_err(|error| error.mistakes().to_vec())
    }

    #[test]
    fn a_prefix_stands_in_front_of_every_name_and_is_empty_by_default() {
        assert_eq!(read("").unwrap().apply("events"), "events");
        assert_eq!(read("shop-a.").unwrap().apply("events"), "shop-a.events");
    }

    #[test]
    fn characters_that_no_topic_can_have_are_refused() {
        for text in ["shop a", "shop/", "läden.", "a:b"] {
            let mistakes = read(text).unwrap_err();

            assert_eq!(mistakes.len(), 1, "{text:?}");
            let named = "KAFKA_TOPIC_PREFIX: expected only the characters of a topic's name";
            assert!(mistakes[0].starts_with(named), "{mistakes:?}");
        }
        for text in ["a\n", " ", "a\0"] {
            let mistakes = read(text).unwrap_err();

            assert_eq!(mistakes.len(), 1, "{text:?}");
            assert!(
                mistakes[0].starts_with("KAFKA_TOPIC_PREFIX: "),
                "{mistakes:?}"
            );
        }
    }

    #[test]
    fn the_longest_topic_of_the_service_stays_within_kafkas_limit() {
        let longest = "p".repeat(MAX_TOPIC_NAME - "events.dlq".len());

        let prefix = read(&longest).unwrap();

        assert_eq!(prefix.apply("events.dlq").len(), MAX_TOPIC_NAME);
        let mistakes = read(&format!("{longest}p")).unwrap_err();
        let named = "KAFKA_TOPIC_PREFIX: must have at most 239 characters";
        assert!(mistakes[0].starts_with(named), "{mistakes:?}");
    }

    #[test]
    fn a_client_id_names_installation_service_and_host() {
        let client_id = client_id(&read("shop-a.").unwrap(), "order-service");

        let host = client_id.strip_prefix("shop-a.order-service.");
        assert!(host.is_some_and(|host| !host.is_empty() && host.chars().all(is_legal)));
    }
}
