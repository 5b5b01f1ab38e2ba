//! The outcome of creating a topic: what the broker has of an existing one, compared with the request. Pure.

use std::collections::HashMap;
use std::fmt;

use super::config::{SEGMENT, TopicSpec, TopicsConfig};
use super::metadata::Shape;

/// The outcome for one topic. Its `Display` is the output of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TopicReport {
    /// It was missing.
    Created { name: String },
    /// It existed and was left unchanged.
    Existed {
        name: String,
        differences: Vec<String>,
        /// The settings that the broker does not report.
        not_compared: Vec<&'static str>,
    },
}

impl TopicReport {
    /// Whether the topic is as requested, as far as the broker reports.
    pub(super) fn is_as_requested(&self) -> bool {
        match self {
            Self::Created { .. } => true,
            Self::Existed { differences, .. } => differences.is_empty(),
        }
    }

    /// Compares an existing topic, of which the broker reports this shape and configuration.
    pub(super) fn compare(
        name: String,
        config: TopicsConfig,
        spec: &TopicSpec,
        shape: Shape,
        found: &HashMap<String, String>,
    ) -> Self {
        let mut differences = Vec::new();
        let mut not_compared = Vec::new();
        for (setting, requested, found) in [
            ("partitions", config.partitions, shape.partitions),
            ("replication", config.replication, shape.replication),
        ] {
            if usize::from(requested) != found {
                differences.push(format!("{setting}: requested {requested}, found {found}"));
            }
        }
        for (setting, requested) in configuration(config, spec) {
            match found.get(setting) {
                None => not_compared.push(setting),
                Some(found) if *found == requested => {}
                Some(found) => {
                    differences.push(format!("{setting}: requested {requested}, found {found}"));
                }
            }
        }
        Self::Existed {
            name,
            differences,
            not_compared,
        }
    }
}

/// The requested configuration of a topic, by Kafka's names.
pub(super) fn configuration(config: TopicsConfig, spec: &TopicSpec) -> [(&'static str, String); 5] {
    [
        ("min.insync.replicas", config.min_insync.to_string()),
        ("retention.ms", spec.retention.as_millis().to_string()),
        ("segment.ms", SEGMENT.as_millis().to_string()),
        ("cleanup.policy", "delete".to_owned()),
        ("max.message.bytes", spec.max_message_bytes.to_string()),
    ]
}

impl fmt::Display for TopicReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, differences, not_compared) = match self {
            Self::Created { name } => return write!(formatter, "{name}: created"),
            Self::Existed {
                name,
                differences,
                not_compared,
            } => (name, differences, not_compared),
        };
        if differences.is_empty() {
            write!(formatter, "{name}: exists as requested")?;
        } else {
            write!(formatter, "{name}: exists with differences, left unchanged")?;
        }
        for difference in differences {
            write!(formatter, "\n  {difference}")?;
        }
        if not_compared.is_empty() {
            return Ok(());
        }
        let settings = not_compared.join(", ");
        write!(
            formatter,
            "\n  not compared, because the broker does not report it: {settings}"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CONFIG: TopicsConfig = TopicsConfig {
        partitions: 6,
        replication: 3,
        min_insync: 2,
    };
    const SPEC: TopicSpec = TopicSpec {
        name: "events",
        retention: Duration::from_secs(7 * 24 * 3_600),
        max_message_bytes: 1_048_588,
    };
    const SHAPE: Shape = Shape {
        partitions: 6,
        replication: 3,
    };

    fn as_requested() -> HashMap<String, String> {
        let pairs = configuration(CONFIG, &SPEC).into_iter();
        pairs
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn compare(shape: Shape, found: &HashMap<String, String>) -> (Vec<String>, Vec<&'static str>) {
        match TopicReport::compare(SPEC.name.to_owned(), CONFIG, &SPEC, shape, found) {
            TopicReport::Existed {
                differences,
                not_compared,
                ..
            } => (differences, not_compared),
            TopicReport::Created { .. } => panic!("it exists"),
        }
    }

    #[test]
    fn a_topic_as_requested_has_no_differences() {
        assert_eq!(compare(SHAPE, &as_requested()), (vec![], vec![]));
    }

    #[test]
    fn retention_is_requested_in_milliseconds() {
        assert_eq!(as_requested()["retention.ms"], "604800000");
    }

    #[test]
    fn every_difference_is_listed() {
        let shape = Shape {
            partitions: 12,
            replication: 1,
        };
        let found = HashMap::from(
            [
                ("min.insync.replicas", "1"),
                ("retention.ms", "-1"),
                ("segment.ms", "604800000"),
                ("cleanup.policy", "compact"),
                ("max.message.bytes", "1000"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );

        let (differences, not_compared) = compare(shape, &found);

        assert_eq!(
            differences,
            [
                "partitions: requested 6, found 12",
                "replication: requested 3, found 1",
                "min.insync.replicas: requested 2, found 1",
                "retention.ms: requested 604800000, found -1",
                "segment.ms: requested 86400000, found 604800000",
                "cleanup.policy: requested delete, found compact",
                "max.message.bytes: requested 1048588, found 1000",
            ]
        );
        assert!(not_compared.is_empty());
    }

    #[test]
    fn a_setting_that_the_broker_does_not_report_is_no_difference() {
        let (differences, not_compared) = compare(SHAPE, &HashMap::new());

        assert!(differences.is_empty());
        assert_eq!(
            not_compared,
            [
                "min.insync.replicas",
                "retention.ms",
                "segment.ms",
                "cleanup.policy",
                "max.message.bytes"
            ]
        );
    }

    #[test]
    fn a_report_lists_the_differences() {
        let report = TopicReport::Existed {
            name: "events".to_owned(),
            differences: vec!["partitions: requested 6, found 3".to_owned()],
            not_compared: vec!["retention.ms"],
        };

        assert!(!report.is_as_requested());
        assert_eq!(
            report.to_string(),
            "events: exists with differences, left unchanged\n  partitions: requested 6, found 3\n  not compared, because the broker does not report it: retention.ms"
        );
    }
}
