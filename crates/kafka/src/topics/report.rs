//! The outcome of creating topics.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::comparison::Difference;

/// The outcome for one topic. Its `Display` is the output of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicReport {
    pub name: &'static str,
    pub state: TopicState,
    /// The settings of an existing topic that the broker does not report.
    pub not_compared: Vec<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicState {
    /// It was missing and was created.
    Created,
    /// It exists as requested.
    AsRequested,
    /// It exists with differences and was left unchanged.
    Differs(Vec<Difference>),
}

impl TopicReport {
    /// Whether the topic is as requested, as far as the broker reports.
    pub fn is_as_requested(&self) -> bool {
        !matches!(self.state, TopicState::Differs(_))
    }
}

impl fmt::Display for TopicReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            TopicState::Created => write!(formatter, "{}: created", self.name)?,
            TopicState::AsRequested => write!(formatter, "{}: exists as requested", self.name)?,
            TopicState::Differs(differences) => {
                write!(
                    formatter,
                    "{}: exists with differences, left unchanged",
                    self.name
                )?;
                for difference in differences {
                    write!(formatter, "\n  {difference}")?;
                }
            }
        }
        if !self.not_compared.is_empty() {
            let settings = self.not_compared.join(", ");
            write!(
                formatter,
                "\n  not compared, because the broker does not report it: {settings}"
            )?;
        }
        Ok(())
    }
}

/// Why topics could not be created or compared.
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
        /// The last error of the client.
        reason: String,
    },
    /// A request failed as a whole.
    #[error("create-topics request")]
    Request(#[source] KafkaError),
    /// The broker refused one topic.
    #[error("kafka refuses to create topic {topic}: {code}{hint}")]
    Refused {
        topic: String,
        code: RDKafkaErrorCode,
        /// A possible cause; begins with punctuation, may be empty.
        hint: String,
    },
    /// The broker does not describe a topic.
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
            state: TopicState::Differs(vec![Difference {
                setting: "partitions",
                requested: "6".to_owned(),
                found: "3".to_owned(),
            }]),
            not_compared: vec!["retention.ms"],
        };

        assert!(!report.is_as_requested());
        assert_eq!(
            report.to_string(),
            "events: exists with differences, left unchanged\n  partitions: requested 6, found 3\n  not compared, because the broker does not report it: retention.ms"
        );
    }
}
