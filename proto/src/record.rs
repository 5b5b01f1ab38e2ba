//! An event as a Kafka record: CloudEvents 1.0, binary content mode (CloudEvents Kafka protocol binding, section 3.2).
//!
//! ```text
//! key      order id, so that all events of one order share a partition. Not repeated as the optional extension
//!          attribute `partitionkey`: ce_subject has it
//! headers  ce_specversion, ce_id, ce_source, ce_type, ce_subject, ce_time, ce_dataschema, ce_sequence,
//!          ce_mustunderstand and ce_republished (if true), content-type, traceparent (and tracestate)
//! value    the protobuf message that ce_type names
//! ```
//!
//! # A type that the reader does not know
//!
//! An older reader meets events of newer releases. The extension attribute `mustunderstand` (Boolean) says what it does:
//!
//! * absent or `false`: the event is optional. The reader skips it; its sequence counts as read, so that the next event of
//!   the order is no gap.
//! * `true`: the reader must not skip it. The event is retried, and later events of its key wait behind it in the reader's retry
//!   store. After the last round, half an hour, it is dead: redrive it when a release knows the type.
//!
//! # An event that is published again
//!
//! `republished` (Boolean, absent unless true) marks an event that an operator has published again, with its old id and
//! sequence, because its order got no outcome. A reader that has handled it before publishes its own events about the order
//! again, which may have been lost.
//!
//! Decoding never panics and applies no defaults: the error names the missing or malformed part.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::event::{Event, EventIdentity};

/// Name and value of a header: any bytes, and the value can be null.
pub type Header = (Vec<u8>, Option<Vec<u8>>);

/// Headers of a Kafka record, in order.
pub type Headers = Vec<Header>;

/// The media type of the value.
pub const CONTENT_TYPE: &str = "application/protobuf";

/// The header of the extension attribute `mustunderstand`; written only if true.
pub const MUST_UNDERSTAND: &str = "ce_mustunderstand";

/// The header of the extension attribute `republished`; written only if true.
pub const REPUBLISHED: &str = "ce_republished";

/// The metadata of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventMeta {
    /// Identity of the event: consumers deduplicate by it.
    pub id: Uuid,
    pub order_id: Uuid,
    /// Position among this sender's events of this order, from 1, without gaps.
    pub sequence: u64,
    pub time: SystemTime,
}

/// A record ready for the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The order id in its hyphenated form.
    pub key: Vec<u8>,
    /// CloudEvents attributes and the trace context.
    pub headers: Headers,
    /// The protobuf message.
    pub payload: Vec<u8>,
}

/// An event taken from a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Received<E> {
    pub meta: EventMeta,
    pub event: E,
}

/// An event of a type that this version of the contract does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEvent {
    /// `None` without the header `ce_sequence`: the record has no position among the events of an order.
    pub meta: Option<EventMeta>,
    /// Whether the reader must wait for a release that knows the type ([`MUST_UNDERSTAND`]).
    pub must_understand: bool,
}

/// The record is not an event of the expected family.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A mandatory header is missing.
    #[error("header {0} is missing")]
    MissingHeader(&'static str),
    /// A header has an invalid value.
    #[error("header {name} is malformed: {value:?}")]
    MalformedHeader {
        name: &'static str,
        /// Its value, shortened.
        value: String,
    },
    /// The value is null: a tombstone.
    #[error("the record has no value")]
    NoPayload,
    /// The value is not the message of its type.
    #[error("the value is not a valid {event_type}")]
    MalformedPayload {
        /// CloudEvents `type`.
        event_type: String,
        source: prost::DecodeError,
    },
    /// The message and the record's subject have different order ids.
    #[error("the subject has order {subject}, the message another")]
    OrderMismatch {
        /// The order id in the subject.
        subject: Uuid,
    },
}

/// Builds the record of an event. `trace` holds the W3C headers of the span that created the event; they are part of the
/// event and are never rewritten.
pub fn encode<E: Event>(meta: &EventMeta, event: &E, trace: &[(String, String)]) -> Record {
    let order_id = meta.order_id.to_string();
    let EventIdentity {
        event_type, name, ..
    } = event.identity();
    let attributes = [
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", meta.id.to_string()),
        ("ce_source", E::SOURCE.to_owned()),
        ("ce_type", event_type.to_owned()),
        ("ce_subject", order_id.clone()),
        ("ce_time", rfc3339(meta.time)),
        (
            "ce_dataschema",
            format!("urn:protobuf:{}.{name}", E::PACKAGE),
        ),
        // The sequence extension compares as text, hence the fixed width.
        ("ce_sequence", format!("{:020}", meta.sequence)),
        ("content-type", CONTENT_TYPE.to_owned()),
    ];
    let must_understand = event
        .must_understand()
        .then(|| (MUST_UNDERSTAND, "true".to_owned()));
    let attributes = attributes
        .into_iter()
        .chain(must_understand)
        .map(|(name, value)| (name.into(), Some(value.into_bytes())));
    let trace = trace
        .iter()
        .map(|(name, value)| (name.clone().into_bytes(), Some(value.clone().into_bytes())));
    Record {
        key: order_id.into_bytes(),
        headers: attributes.chain(trace).collect(),
        payload: event.encode_payload(),
    }
}

/// Reads an event of family `E`; `Ok(None)` for an event type that this version does not know: [`decode_unknown`] reads what
/// its record says beside the message.
pub fn decode<'a, E: Event>(
    headers: impl IntoIterator<Item = impl Into<HeaderRef<'a>>>,
    payload: Option<&[u8]>,
) -> Result<Option<Received<E>>, RecordError> {
    let attributes = Attributes::read(headers);
    let version = attributes.spec_version.text()?;
    if !version.starts_with("1.") {
        return Err(malformed(attributes.spec_version.name, version));
    }
    let event_type = attributes.event_type.text()?;
    let content_type = attributes.content_type.text()?;
    if content_type != CONTENT_TYPE {
        return Err(malformed(attributes.content_type.name, content_type));
    }
    let payload = payload.ok_or(RecordError::NoPayload)?;
    let Some(event) = E::decode_payload(event_type, payload) else {
        return Ok(None);
    };
    let event = event.map_err(|source| RecordError::MalformedPayload {
        event_type: event_type.to_owned(),
        source,
    })?;
    let meta = attributes.meta()?;
    if Uuid::try_parse(event.identity().order_id) != Ok(meta.order_id) {
        return Err(RecordError::OrderMismatch {
            subject: meta.order_id,
        });
    }
    Ok(Some(Received { meta, event }))
}

/// Marks the record of an event that is published again.
pub fn mark_republished(headers: &mut Headers) {
    headers.push((REPUBLISHED.into(), Some(b"true".to_vec())));
}

/// Whether the record's event is published again.
pub fn is_republished<'a>(headers: impl IntoIterator<Item = impl Into<HeaderRef<'a>>>) -> bool {
    matches!(
        Attributes::read(headers).republished.value,
        Some(Some(b"true"))
    )
}

/// Reads the headers of an event for which [`decode`] returned `None`.
pub fn decode_unknown<'a>(
    headers: impl IntoIterator<Item = impl Into<HeaderRef<'a>>>,
) -> Result<UnknownEvent, RecordError> {
    let attributes = Attributes::read(headers);
    let must_understand = match attributes.must_understand.value {
        None | Some(Some(b"false")) => false,
        Some(Some(b"true")) => true,
        Some(other) => {
            let other = String::from_utf8_lossy(other.unwrap_or_default());
            return Err(malformed(MUST_UNDERSTAND, &other));
        }
    };
    let has_position = attributes.sequence.value.is_some();
    Ok(UnknownEvent {
        meta: has_position.then(|| attributes.meta()).transpose()?,
        must_understand,
    })
}

/// A header of a record that is read in place.
#[derive(Clone, Copy, Debug)]
pub struct HeaderRef<'a> {
    pub name: &'a [u8],
    /// Can be null.
    pub value: Option<&'a [u8]>,
}

impl<'a> From<&'a Header> for HeaderRef<'a> {
    fn from((name, value): &'a Header) -> Self {
        Self {
            name,
            value: value.as_deref(),
        }
    }
}

impl<'a> From<(&'a [u8], Option<&'a [u8]>)> for HeaderRef<'a> {
    fn from((name, value): (&'a [u8], Option<&'a [u8]>)) -> Self {
        Self { name, value }
    }
}

/// The headers that a reader needs: the first of each name, found in one pass.
struct Attributes<'a> {
    spec_version: Attribute<'a>,
    event_type: Attribute<'a>,
    content_type: Attribute<'a>,
    id: Attribute<'a>,
    subject: Attribute<'a>,
    sequence: Attribute<'a>,
    time: Attribute<'a>,
    must_understand: Attribute<'a>,
    republished: Attribute<'a>,
}

#[derive(Clone, Copy)]
struct Attribute<'a> {
    name: &'static str,
    /// `None` if there is no header of the name, which is not the same as a null value.
    value: Option<Option<&'a [u8]>>,
}

impl<'a> Attributes<'a> {
    fn read(headers: impl IntoIterator<Item = impl Into<HeaderRef<'a>>>) -> Self {
        let none = |name| Attribute { name, value: None };
        let mut found = Self {
            spec_version: none("ce_specversion"),
            event_type: none("ce_type"),
            content_type: none("content-type"),
            id: none("ce_id"),
            subject: none("ce_subject"),
            sequence: none("ce_sequence"),
            time: none("ce_time"),
            must_understand: none(MUST_UNDERSTAND),
            republished: none(REPUBLISHED),
        };
        for header in headers {
            let header = header.into();
            if let Some(attribute) = found.named(header.name) {
                attribute.value.get_or_insert(header.value);
            }
        }
        found
    }

    fn named(&mut self, name: &[u8]) -> Option<&mut Attribute<'a>> {
        let all = [
            &mut self.spec_version,
            &mut self.event_type,
            &mut self.content_type,
            &mut self.id,
            &mut self.subject,
            &mut self.sequence,
            &mut self.time,
            &mut self.must_understand,
            &mut self.republished,
        ];
        all.into_iter()
            .find(|attribute| attribute.name.as_bytes() == name)
    }

    fn meta(&self) -> Result<EventMeta, RecordError> {
        let (sequence, time) = (self.sequence.text()?, self.time.text()?);
        Ok(EventMeta {
            id: self.id.uuid()?,
            order_id: self.subject.uuid()?,
            sequence: sequence
                .parse()
                .map_err(|_| malformed(self.sequence.name, sequence))?,
            time: OffsetDateTime::parse(time, &Rfc3339)
                .map_err(|_| malformed(self.time.name, time))?
                .into(),
        })
    }
}

impl<'a> Attribute<'a> {
    /// A null value and one that is not UTF-8 count as missing.
    fn text(&self) -> Result<&'a str, RecordError> {
        let value = self.value.flatten();
        value
            .and_then(|value| std::str::from_utf8(value).ok())
            .ok_or(RecordError::MissingHeader(self.name))
    }

    fn uuid(&self) -> Result<Uuid, RecordError> {
        let value = self.text()?;
        Uuid::try_parse(value).map_err(|_| malformed(self.name, value))
    }
}

/// The value of a header, if present and UTF-8.
pub fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let (_, value) = headers
        .iter()
        .find(|(header, _)| header == name.as_bytes())?;
    std::str::from_utf8(value.as_deref()?).ok()
}

fn malformed(name: &'static str, value: &str) -> RecordError {
    // A header may be as long as a record: an error message must not be.
    const SHOWN: usize = 64;
    RecordError::MalformedHeader {
        name,
        value: value.chars().take(SHOWN).collect(),
    }
}

fn rfc3339(at: SystemTime) -> String {
    // Formatting fails only for years beyond 9999; the epoch is a valid substitute.
    OffsetDateTime::from(at)
        .format(&Rfc3339)
        .unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests;
