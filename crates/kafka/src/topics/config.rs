//! The topics of a service as code, and the settings that they share.

use std::time::Duration;

use crate::properties::MAX_RECORD_BYTES;
use service::config::Settings;

/// The name and retention of one topic. Its other properties are the same for all topics ([`TopicsConfig`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Without the prefix of the installation.
    pub name: &'static str,
    /// Records are deleted after this time, at the latest one [`SEGMENT`] later.
    pub retention: Duration,
    /// Largest batch of records, compressed (`max.message.bytes`).
    pub max_message_bytes: u32,
}

/// Limit of a topic of events: the default of a broker.
pub const EVENT_BYTES: u32 = 1_048_588;

/// Limit of a dead-letter topic. It takes whatever the producer sends: the record that was consumed can be larger than the limit
/// of its topic, which counts bytes as they were compressed by another producer.
pub const DEAD_LETTER_BYTES: u32 = MAX_RECORD_BYTES + BATCH_OVERHEAD;

/// A batch of one record is larger than the record by about a hundred bytes.
const BATCH_OVERHEAD: u32 = 1024;

/// A new segment is begun after this time (`segment.ms`), since Kafka deletes whole segments only: with its default of seven
/// days a topic with few records keeps them twice as long as requested.
pub const SEGMENT: Duration = Duration::from_secs(24 * 3_600);

/// How long a topic with this retention can deliver a record again.
pub const fn redelivered_for(retention: Duration) -> Duration {
    retention.saturating_add(SEGMENT)
}

/// The properties that all topics of a system share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicsConfig {
    /// Partitions of each topic.
    pub partitions: u16,
    /// Copies of each partition.
    pub replication: u16,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync: u16,
}

impl TopicsConfig {
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let config = Self {
            partitions: settings.value(
                "KAFKA_TOPIC_PARTITIONS",
                "6",
                "partitions of each topic: `topics` creates this number, and with fewer the service is not ready",
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
            // Kafka stores the number of replicas as a signed 16-bit integer.
            let is_valid = value > 0 && i16::try_from(value).is_ok();
            settings.require(
                is_valid,
                name,
                format_args!("must be from 1 to {}", i16::MAX),
            );
        }
        settings.require(
            self.min_insync <= self.replication,
            "KAFKA_TOPIC_MIN_INSYNC",
            "must be at most KAFKA_TOPIC_REPLICATION: with fewer copies no record would be acknowledged",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
    fn the_defaults_survive_the_loss_of_one_broker() {
        let config = read(&[]).unwrap();

        assert!(
            config.min_insync > 1,
            "a single copy is lost with its broker"
        );
        assert!(
            config.min_insync < config.replication,
            "one broker down would stop all writes"
        );
    }

    #[test]
    fn more_in_sync_copies_than_copies_are_rejected() {
        let mistakes = read(&[("KAFKA_TOPIC_REPLICATION", "1")]).unwrap_err();

        assert_eq!(mistakes.len(), 1);
        assert!(
            mistakes[0]
                .starts_with("KAFKA_TOPIC_MIN_INSYNC: must be at most KAFKA_TOPIC_REPLICATION"),
            "{mistakes:?}"
        );
    }

    #[test]
    fn counts_out_of_range_are_rejected() {
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
}
