//! One record as text or JSON.

use std::borrow::Cow;

use native_headers::read_native;
use proto::event::{Event, OrderEvent, ProcessingEvent};
use proto::record::{Headers, RecordError, decode};
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use serde_json::{Map, Value, json};

use crate::orderctl::output;

mod data;

/// A record's event, decoded as far as this contract knows it.
enum Content {
    Order(OrderEvent),
    Processing(ProcessingEvent),
    /// Well-formed, but of a type that this contract does not know.
    Unknown,
    Malformed(RecordError),
}

pub(super) fn print(message: &BorrowedMessage<'_>, as_json: bool) {
    let headers = headers(message);
    let content = Content::of(&headers, message.payload());
    let key = String::from_utf8_lossy(message.key().unwrap_or_default());
    if as_json {
        let record = json!({
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp_ms": message.timestamp().to_millis(),
            "key": key,
            "headers": headers_json(&headers),
            "event": content.name(),
            "data": content.data_json(),
            "error": content.error(),
        });
        return output::line(record);
    }
    output::line(format_args!(
        "partition {} offset {} key {key}",
        message.partition(),
        message.offset()
    ));
    for (name, value) in &headers {
        let value = value.as_deref().map_or("(null)".into(), shown);
        output::line(format_args!("  {}: {value}", shown(name)));
    }
    output::line(format_args!("{}\n", indented(&content.to_text())));
}

impl Content {
    fn of(headers: &Headers, payload: Option<&[u8]>) -> Self {
        match decode::<OrderEvent>(headers, payload) {
            Ok(Some(received)) => return Self::Order(received.event),
            Ok(None) => {}
            Err(error) => return Self::Malformed(error),
        }
        match decode::<ProcessingEvent>(headers, payload) {
            Ok(Some(received)) => Self::Processing(received.event),
            Ok(None) => Self::Unknown,
            Err(error) => Self::Malformed(error),
        }
    }

    fn name(&self) -> Option<&'static str> {
        match self {
            Self::Order(event) => Some(event.name()),
            Self::Processing(event) => Some(event.name()),
            Self::Unknown | Self::Malformed(_) => None,
        }
    }

    fn error(&self) -> Option<String> {
        match self {
            Self::Order(_) | Self::Processing(_) => None,
            Self::Unknown => Some("an event of a type that this contract does not know".to_owned()),
            Self::Malformed(error) => Some(format!("no event: {error}")),
        }
    }

    fn data_json(&self) -> Option<Value> {
        match self {
            Self::Order(event) => Some(data::of_order_event(event)),
            Self::Processing(event) => Some(data::of_processing_event(event)),
            Self::Unknown | Self::Malformed(_) => None,
        }
    }

    fn to_text(&self) -> String {
        match (self.name(), self.data_json(), self.error()) {
            (Some(name), Some(data), _) => format!("{name} {data:#}"),
            (_, _, error) => error.unwrap_or_default(),
        }
    }
}

fn headers(message: &BorrowedMessage<'_>) -> Headers {
    message.headers().map(read_native).unwrap_or_default()
}

/// Bytes that are not UTF-8 are replaced.
fn shown(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn headers_json(headers: &Headers) -> Value {
    let headers = headers.iter().map(|(name, value)| {
        let value = value.as_deref().map(shown);
        (shown(name).into_owned(), value.into())
    });
    Value::Object(headers.collect::<Map<_, _>>())
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {line}"));
    lines.collect::<Vec<_>>().join("\n")
}
