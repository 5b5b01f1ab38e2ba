//! Sends of messages that were created in an earlier span.

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::error::RDKafkaErrorCode;

use super::*;
use telemetry::propagation;
use telemetry::testing::{measured, record_spans, spans_of};

const CREATOR: u64 = 0x00f0_67aa_0ba9_02b7;

/// Headers of an event that was created in this trace.
fn headers(trace: u128, is_recorded: bool) -> Headers {
    let flags = u8::from(is_recorded);
    let parent = format!("00-{trace:032x}-{CREATOR:016x}-{flags:02x}");
    vec![
        (b"ce_id".to_vec(), Some(b"event-1".to_vec())),
        (b"traceparent".to_vec(), Some(parent.into_bytes())),
    ]
}

fn begin(telemetry: &SendTelemetry, topic: &str, headers: &Headers) -> ObservedSend {
    let decided = propagation::of_event(headers);
    let message = Outgoing {
        topic,
        key: Some(b"order-1"),
        headers,
    };
    telemetry.begin(message, &decided, &decided)
}

fn telemetry() -> SendTelemetry {
    record_spans();
    SendTelemetry::new(&KafkaConfig::plaintext("broker:9092"))
}

fn shown(span: &SpanData, attribute: &str) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|of| of.key.as_str() == attribute);
    found.map(|of| of.value.to_string())
}

#[test]
fn a_send_is_a_child_of_the_span_that_created_the_event_and_links_to_it() {
    let (telemetry, trace) = (telemetry(), 0xa1);

    begin(&telemetry, "sent.child", &headers(trace, true)).acknowledged(3, 77);

    let spans = spans_of(TraceId::from(trace));
    let [span] = spans.as_slice() else {
        panic!("{spans:?}");
    };
    assert_eq!(span.name, "send sent.child");
    assert_eq!(span.span_kind, opentelemetry::trace::SpanKind::Client);
    assert_eq!(span.parent_span_id, SpanId::from(CREATOR));
    let links: Vec<_> = span.links.iter().collect();
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].span_context.span_id(), SpanId::from(CREATOR));
    for (attribute, value) in [
        ("messaging.destination.name", "sent.child"),
        ("messaging.destination.partition.id", "3"),
        ("messaging.kafka.offset", "77"),
        ("messaging.kafka.message.key", "order-1"),
        ("messaging.message.id", "event-1"),
        ("server.address", "broker"),
        ("server.port", "9092"),
    ] {
        assert_eq!(shown(span, attribute).as_deref(), Some(value));
    }
}

#[test]
fn an_event_that_is_sent_again_has_a_span_per_attempt() {
    let (telemetry, trace) = (telemetry(), 0xa2);
    let headers = headers(trace, true);

    let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
    begin(&telemetry, "sent.twice", &headers).failed(&error);
    begin(&telemetry, "sent.twice", &headers).acknowledged(0, 1);

    let spans = spans_of(TraceId::from(trace));
    let errors: Vec<_> = spans.iter().map(|span| shown(span, "error.type")).collect();
    assert_eq!(errors, [Some("MSG_TIMED_OUT".to_owned()), None]);
    let named =
        |error: &str| format!("{error}messaging.operation.name=send messaging.system=kafka");
    let sent = measured(
        "messaging.client.sent.messages",
        "messaging.destination.name",
        "sent.twice",
    );
    assert_eq!(
        sent,
        [(named("error.type=MSG_TIMED_OUT "), 1), (named(""), 1)]
    );
    let durations = measured(
        "messaging.client.operation.duration",
        "messaging.destination.name",
        "sent.twice",
    );
    assert_eq!(durations.len(), 2);
}

#[test]
fn an_event_whose_trace_is_not_recorded_has_no_span_and_is_counted() {
    let (telemetry, trace) = (telemetry(), 0xa3);

    begin(&telemetry, "sent.silently", &headers(trace, false)).acknowledged(0, 1);

    assert!(spans_of(TraceId::from(trace)).is_empty());
    let sent = measured(
        "messaging.client.sent.messages",
        "messaging.destination.name",
        "sent.silently",
    );
    assert_eq!(sent.len(), 1);
}

#[test]
fn topics_beyond_the_expected_number_share_their_labels() {
    let telemetry = telemetry();
    let headers = headers(0xa4, false);

    for number in 0..2 * MAX_TOPICS {
        begin(&telemetry, &format!("sent.{number}"), &headers).acknowledged(0, 1);
    }

    assert_eq!(telemetry.topics.lock().unwrap().len(), MAX_TOPICS);
    let others = measured(
        "messaging.client.sent.messages",
        "messaging.destination.name",
        OTHER,
    );
    assert_eq!(others[0].1, MAX_TOPICS as u64);
}
