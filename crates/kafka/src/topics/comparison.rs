//! What was asked for beside what exists. Pure.

use std::collections::HashMap;
use std::fmt;

use super::cluster::Shape;
use super::{TopicSpec, TopicsConfig};

/// A setting of an existing topic that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `partitions`, `replication`, or the name of a topic configuration.
    pub setting: &'static str,
    /// What was asked for.
    pub asked: String,
    /// What there is.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            asked,
            found,
        } = self;
        write!(formatter, "{setting}: asked for {asked}, found {found}")
    }
}

/// The configuration of a topic, in Kafka's words.
pub(super) fn configuration(config: TopicsConfig, spec: &TopicSpec) -> [(&'static str, String); 3] {
    [
        ("min.insync.replicas", config.min_insync.to_string()),
        ("retention.ms", spec.retention.as_millis().to_string()),
        ("cleanup.policy", "delete".to_owned()),
    ]
}

/// The differences, and what could not be compared because the broker does not tell it.
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
        .filter(|(_, asked, found)| asked != found)
        .map(|(setting, asked, found)| Difference {
            setting,
            asked: asked.to_string(),
            found: found.to_string(),
        })
        .collect();
    let mut not_compared = Vec::new();
    for (setting, asked) in configuration(config, spec) {
        match found.get(setting) {
            None => not_compared.push(setting),
            Some(found) if *found == asked => {}
            Some(found) => differences.push(Difference {
                setting,
                asked,
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

    fn as_asked() -> HashMap<String, String> {
        let pairs = configuration(CONFIG, &SPEC).into_iter();
        pairs
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    #[test]
    fn a_topic_as_asked_for_has_no_differences() {
        assert_eq!(compare(CONFIG, &SPEC, SHAPE, &as_asked()), (vec![], vec![]));
    }

    #[test]
    fn retention_is_asked_for_in_milliseconds() {
        assert_eq!(as_asked()["retention.ms"], "604800000");
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
                "partitions: asked for 6, found 12",
                "replication: asked for 3, found 1",
                "min.insync.replicas: asked for 2, found 1",
                "retention.ms: asked for 604800000, found -1",
                "cleanup.policy: asked for delete, found compact",
            ]
        );
        assert!(not_compared.is_empty());
    }

    #[test]
    fn what_a_broker_does_not_tell_is_no_difference() {
        let (differences, not_compared) = compare(CONFIG, &SPEC, SHAPE, &HashMap::new());

        assert!(differences.is_empty());
        assert_eq!(
            not_compared,
            ["min.insync.replicas", "retention.ms", "cleanup.policy"]
        );
    }
}
