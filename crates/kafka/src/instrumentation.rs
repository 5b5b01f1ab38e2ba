//! Names and labels of Kafka operations, the same for all clients ("Semantic conventions for Kafka").

use std::borrow::Cow;
use std::sync::Arc;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use crate::config::KafkaConfig;
use telemetry::names::attributes as attr;
use telemetry::vocabulary::{Label, Labels};

/// Maximum characters of a key or an id in a span: writers of a topic choose their length.
const MAX_TEXT: usize = 128;

/// `error.type` of an error that librdkafka has no name for.
const OTHER: &str = "_OTHER";

/// Prefix of librdkafka's error enumeration; a further underscore marks errors of the client.
const ERROR_PREFIX: &str = "RD_KAFKA_RESP_ERR_";

/// An operation on messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Operation {
    Send,
    Poll,
    Process,
    Commit,
}

impl Operation {
    /// The name of its span; formatted only if there is a span.
    pub fn of(self, topic: &str) -> SpanName<'_> {
        SpanName(self, topic)
    }

    /// `messaging.operation.name`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// `messaging.operation.type`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Poll => "receive",
            Self::Process => "process",
            Self::Commit => "settle",
        }
    }

    /// The labels of metrics that distinguish operations by name.
    pub fn labels(self, topic: &Arc<str>) -> Labels {
        Labels::of([
            attr::MESSAGING_SYSTEM.label("kafka"),
            attr::MESSAGING_OPERATION_NAME.label(self.name()),
            attr::MESSAGING_DESTINATION_NAME.known(topic),
        ])
    }

    /// The labels of spans and of the metric of durations.
    pub fn full_labels(self, topic: &Arc<str>) -> Labels {
        let kind = attr::MESSAGING_OPERATION_TYPE.label(self.kind());
        self.labels(topic).and(kind)
    }
}

/// The name of a span, not formatted yet.
#[derive(Clone, Copy, Debug)]
pub struct SpanName<'a>(Operation, &'a str);

impl From<SpanName<'_>> for Cow<'static, str> {
    fn from(SpanName(operation, topic): SpanName<'_>) -> Self {
        Self::Owned(format!("{} {topic}", operation.name()))
    }
}

/// Address and port of the first configured broker.
pub fn server(kafka: &KafkaConfig) -> Vec<Label> {
    let (host, port) = kafka.first_broker();
    let host = attr::SERVER_ADDRESS.known(&Arc::from(host));
    let port = port.map(|port| attr::SERVER_PORT.numbered(i32::from(port)));
    [host].into_iter().chain(port).collect()
}

/// Kafka's name of the error, for example `MSG_TIMED_OUT`, from librdkafka's list.
pub fn error_type(error: &KafkaError) -> Label {
    let code = error.rdkafka_error_code();
    let code = code.and_then(|code| RDKafkaRespErr::try_from(code as i32).ok());
    let Some(code) = code else {
        return attr::ERROR_TYPE.label(OTHER);
    };
    let name = format!("{code:?}");
    let name = name.trim_start_matches(ERROR_PREFIX);
    match name.trim_start_matches('_') {
        // The only name that librdkafka abbreviates.
        "UNKNOWN_TOPIC_OR_PART" => attr::ERROR_TYPE.label("UNKNOWN_TOPIC_OR_PARTITION"),
        name => attr::ERROR_TYPE.known(&Arc::from(name)),
    }
}

/// A key or an id, truncated for a span; `None` if it is not UTF-8.
pub fn bounded_text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.chars().take(MAX_TEXT).collect())
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode;

    use super::*;

    #[test]
    fn an_error_has_kafkas_name() {
        let name = |code| error_type(&KafkaError::MessageProduction(code));

        let expected = |name| attr::ERROR_TYPE.label(name);
        assert_eq!(
            name(RDKafkaErrorCode::MessageTimedOut),
            expected("MSG_TIMED_OUT")
        );
        assert_eq!(
            name(RDKafkaErrorCode::UnknownTopicOrPartition),
            expected("UNKNOWN_TOPIC_OR_PARTITION")
        );
        assert_eq!(error_type(&KafkaError::Canceled), expected(OTHER));
    }

    #[test]
    fn the_first_of_several_brokers_is_the_server() {
        let server = |brokers: &str| server(&KafkaConfig::plaintext(brokers));

        let address = |host| attr::SERVER_ADDRESS.label(host);
        let port = |port| attr::SERVER_PORT.numbered(port);
        assert_eq!(server("a:1,b:2"), [address("a"), port(1)]);
        assert_eq!(server("SSL://a:1"), [address("a"), port(1)]);
        assert_eq!(server("[::1]:9092"), [address("::1"), port(9092)]);
        assert_eq!(server("a"), [address("a")]);
    }
}
