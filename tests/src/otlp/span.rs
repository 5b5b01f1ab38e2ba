//! Spans, as they were received.

use std::fmt;
use std::time::Duration;

use hyper::body::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as SentKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span as SentSpan};
use prost::{DecodeError, Message as _};

use super::value::{Attributes, Value, attributes, service};

/// Something that was done, from its start to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace that it is part of; ids are hexadecimal digits, here and below.
    pub trace_id: String,
    /// Its own id.
    pub span_id: String,
    /// The span that it is part of, if there is one.
    pub parent: Option<String>,
    /// Span name.
    pub name: String,
    /// On which side of a conversation.
    pub kind: SpanKind,
    /// Service name.
    pub service: String,
    /// More about it.
    pub attributes: Attributes,
    /// Other spans that it has to do with.
    pub links: Vec<Link>,
    /// Whether it failed.
    pub failed: bool,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
}

/// On which side of a conversation something was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// On none.
    Internal,
    /// It answered.
    Server,
    /// It asked.
    Client,
    /// It sent a message for later.
    Producer,
    /// It took in a message from before.
    Consumer,
}

/// A span of this or of another trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its trace.
    pub trace_id: String,
    /// Its own id.
    pub span_id: String,
}

impl Span {
    /// An attribute as text; empty if there is none.
    pub fn attribute(&self, name: &str) -> String {
        let value = self.attributes.get(name);
        value.map(Value::to_string).unwrap_or_default()
    }

    /// How long it took.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end.saturating_sub(self.start))
    }

    /// Whether it has a link to this span.
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
