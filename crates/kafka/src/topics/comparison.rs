//! Compares the requested properties of a topic with the existing ones. Pure.

use std::collections::HashMap;
use std::fmt;

use super::config::{TopicSpec, TopicsConfig};
use super::metadata::Shape;

/// A setting of an existing topic that differs from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// `partitions`, `replication`, or the name of a topic configuration.
    pub(super) setting: &'static str,
    pub(super) requested: String,
    pub(super) found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            requested,
            found,
        } = self;
        write!(formatter, "{setting}: requested {requested}, found {found}")
    }
}

/// The requested configuration of a topic, by Kafka's names.
pub(super) fn configuration(config: TopicsConfig, spec: &TopicSpec) -> [(&'static str, String); 3] {
    [
        ("min.insync.replicas", config.min_insync.to_string()),
        ("retention.ms", spec.retention.as_millis().to_string()),
        ("cleanup.policy", "delete".to_owned()),
    ]
}

/// The differences, and the settings that the broker does not report.
pub(super) fn compare(
    config: TopicsConfig,
    spec: &TopicSpec,
    shape: Shape,
    found: &HashMap<String, String>,
) -> (Vec<Difference>, Vec<&'static str>) {
    let counts = [
        (
            "partitions",
            usize::from(config.partitions),
            shape.partitions,
        ),
        (
            "replication",
            usize::from(config.replication),
            shape.replication,
        ),
    ];
    let mut differences: Vec<Difference> = counts
        .into_iter()
        .filter(|(_, requested, found)| requested != found)
        .map(|(setting, requested, found)| Difference {
            setting,
            requested: requested.to_string(),
            found: found.to_string(),
        })
        .collect();
    let mut not_compared = Vec::new();
    for (setting, requested) in configuration(config, spec) {
        match found.get(setting) {
            None => not_compared.push(setting),
            Some(found) if *found == requested => {}
            Some(found) => differences.push(Difference {
                setting,
                requested,
                found: found.clone(),
            }),
        }
    }
    (differences, not_compared)
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

    #[test]
    fn a_topic_as_requested_has_no_differences() {
        assert_eq!(
            compare(CONFIG, &SPEC, SHAPE, &as_requested()),
            (vec![], vec![])
        );
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
                ("cleanup.policy", "compact"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );

        let (differences, not_compared) = compare(CONFIG, &SPEC, shape, &found);

        let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "partitions: requested 6, found 12",
                "replication: requested 3, found 1",
                "min.insync.replicas: requested 2, found 1",
                "retention.ms: requested 604800000, found -1",
                "cleanup.policy: requested delete, found compact",
            ]
        );
        assert!(not_compared.is_empty());
    }

    #[test]
    fn a_setting_that_the_broker_does_not_report_is_no_difference() {
        let (differences, not_compared) = compare(CONFIG, &SPEC, SHAPE, &HashMap::new());

        assert!(differences.is_empty());
        assert_eq!(
            not_compared,
            ["min.insync.replicas", "retention.ms", "cleanup.policy"]
        );
    }
}
