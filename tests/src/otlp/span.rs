//! Received spans.

use std::fmt;
use std::time::Duration;

use hyper::body::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as SentKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span as SentSpan};
use prost::{DecodeError, Message as _};

use super::value::{AttributeValue, Attributes, attributes, service};

#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Ids are hexadecimal digits, here and below.
    pub trace_id: String,
    pub span_id: String,
    /// The id of the parent span, if there is one.
    pub parent: Option<String>,
    pub name: String,
    pub kind: SpanKind,
    pub service: String,
    pub attributes: Attributes,
    /// Linked spans.
    pub links: Vec<Link>,
    /// Whether the status is an error.
    pub failed: bool,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
}

/// The role of the span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// An internal operation.
    Internal,
    /// Handles a synchronous request.
    Server,
    /// Makes a synchronous request.
    Client,
    /// Sends a message.
    Producer,
    /// Handles a message.
    Consumer,
}

/// A link to a span of this or another trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
}

impl Span {
    /// The value of an attribute as text; empty if there is none.
    pub fn attribute(&self, name: &str) -> String {
        let value = self.attributes.get(name);
        value.map(AttributeValue::to_string).unwrap_or_default()
    }

    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end.saturating_sub(self.start))
    }

    /// Whether the span has a link to this span.
    pub fn links_to(&self, trace_id: &str, span_id: &str) -> bool {
        let mut links = self.links.iter();
        links.any(|link| link.trace_id == trace_id && link.span_id == span_id)
    }
}

impl fmt::Display for SpanKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        })
    }
}

pub(super) fn decode(body: Bytes) -> Result<Vec<Span>, DecodeError> {
    let request = ExportTraceServiceRequest::decode(body)?;
    let mut spans = Vec::new();
    for ResourceSpans {
        resource,
        scope_spans,
        ..
    } in request.resource_spans
    {
        let service = service(resource);
        let sent = scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(sent.map(|span| received(span, &service)));
    }
    Ok(spans)
}

fn received(sent: SentSpan, service: &str) -> Span {
    let failed = sent
        .status
        .as_ref()
        .is_some_and(|status| status.code() == StatusCode::Error);
    Span {
        kind: kind(sent.kind()),
        trace_id: digits(&sent.trace_id),
        span_id: digits(&sent.span_id),
        parent: Some(digits(&sent.parent_span_id)).filter(|parent| !parent.is_empty()),
        name: sent.name,
        service: service.to_owned(),
        attributes: attributes(sent.attributes),
        links: sent
            .links
            .into_iter()
            .map(|link| Link {
                trace_id: digits(&link.trace_id),
                span_id: digits(&link.span_id),
            })
            .collect(),
        failed,
        start: sent.start_time_unix_nano,
        end: sent.end_time_unix_nano,
    }
}

fn kind(kind: SentKind) -> SpanKind {
    match kind {
        SentKind::Unspecified | SentKind::Internal => SpanKind::Internal,
        SentKind::Server => SpanKind::Server,
        SentKind::Client => SpanKind::Client,
        SentKind::Producer => SpanKind::Producer,
        SentKind::Consumer => SpanKind::Consumer,
    }
}

pub(super) fn digits(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
