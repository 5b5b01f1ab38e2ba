//! The outcome of creating topics.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::comparison::Difference;

/// The outcome for one topic. Its `Display` is the output of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicReport {
    pub(super) name: &'static str,
    pub(super) state: TopicState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TopicState {
    /// It was missing.
    Created,
    /// It existed and was left unchanged.
    Existed {
        differences: Vec<Difference>,
        /// The settings that the broker does not report.
        not_compared: Vec<&'static str>,
    },
}

impl TopicReport {
    /// Whether the topic is as requested, as far as the broker reports.
    pub(super) fn is_as_requested(&self) -> bool {
        match &self.state {
            TopicState::Created => true,
            TopicState::Existed { differences, .. } => differences.is_empty(),
        }
    }
}

impl fmt::Display for TopicReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        let TopicState::Existed {
            differences,
            not_compared,
        } = &self.state
        else {
            return write!(formatter, "{name}: created");
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

/// Why topics could not be created or compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum TopicsError {
    #[error("setting up the kafka client")]
    Client(#[source] KafkaError),
    #[error("kafka at {brokers} cannot be reached: {reason}")]
    Unreachable {
        brokers: String,
        /// The last error of the client.
        reason: String,
    },
    #[error("create-topics request")]
    Request(#[source] KafkaError),
    #[error("kafka refuses to create topic {topic}: {code}{hint}")]
    Refused {
        topic: String,
        code: RDKafkaErrorCode,
        /// A possible cause; begins with punctuation, may be empty.
        hint: String,
    },
    #[error("kafka does not describe topic {topic}: {code}")]
    Hidden {
        topic: String,
        code: RDKafkaErrorCode,
    },
    /// The runtime is shutting down.
    #[error("creating topics was interrupted")]
    Interrupted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_lists_the_differences() {
        let report = TopicReport {
            name: "events",
            state: TopicState::Existed {
                differences: vec![Difference {
                    setting: "partitions",
                    requested: "6".to_owned(),
                    found: "3".to_owned(),
                }],
                not_compared: vec!["retention.ms"],
            },
        };

        assert!(!report.is_as_requested());
        assert_eq!(
            report.to_string(),
            "events: exists with differences, left unchanged\n  partitions: requested 6, found 3\n  not compared, because the broker does not report it: retention.ms"
        );
    }
}
