//! Spans and metrics of records and attempts, exported to memory.

use std::collections::BTreeMap;

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::error::RDKafkaErrorCode;

use super::*;
use crate::config::TraceProcessing;
use crate::handler::{Failure, Handled};
use crate::retry_policy::RetryPolicy;
use service::config::Settings;
use telemetry::testing::{measured, record_spans, spans_of};

const CREATOR: u64 = 0x00f0_67aa_0ba9_02b7;

const RETRY_POLICY: RetryPolicy = RetryPolicy {
    retry_for: Duration::from_secs(1),
    retry_store_delay: Duration::from_secs(1),
    reject_limit: 1,
};

fn telemetry(group: &'static str, trace_processing: TraceProcessing) -> ConsumerTelemetry {
    record_spans();
    let config = ConsumerConfig {
        group: group.into(),
        topic: "events".into(),
        dead_letter_topic: "events.dlq".into(),
        max_in_flight: 2,
        retry_policy: RETRY_POLICY,
        trace_processing,
        service: "service",
        version: "1",
    };
    ConsumerTelemetry::new(&KafkaConfig::plaintext("broker:9092"), &config)
}

/// A record created in this trace.
fn record(trace: u128, is_recorded: bool, offset: i64) -> Record {
    let flags = u8::from(is_recorded);
    let parent = format!("00-{trace:032x}-{CREATOR:016x}-{flags:02x}");
    let headers = [("ce_id", "event-1".to_owned()), ("traceparent", parent)];
    let header = |(name, value): (&str, String)| (name.into(), Some(value.into_bytes()));
    Record {
        topic: "events".to_owned(),
        partition: 3,
        offset,
        key: Some(b"order-1".to_vec()),
        headers: headers.into_iter().map(header).collect(),
        payload: Some(b"payload".to_vec()),
        ..Record::default()
    }
}

/// Makes an attempt with this result; returns the trace of its handler call.
fn attempt(
    telemetry: &ConsumerTelemetry,
    record: &Record,
    number: u32,
    handled: &Handled,
) -> TraceId {
    let delivery = Delivery::new(record.clone(), number, Vec::new());
    let trace = propagation::of_record(&record.headers);
    let observed = telemetry.attempt(&delivery, &trace);
    let within = observed.span().span_context().trace_id();
    observed.ended(handled);
    within
}

fn shown(span: &SpanData, attribute: &str) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|of| of.key.as_str() == attribute);
    found.map(|of| of.value.to_string())
}

fn links(span: &SpanData) -> Vec<SpanId> {
    let links = span.links.iter();
    links.map(|link| link.span_context.span_id()).collect()
}

/// The spans of other traces that link to this one.
fn linked_from_outside(trace: u128) -> Vec<SpanData> {
    let to_it = |span: &SpanData| {
        let mut links = span.links.iter();
        links.any(|link| link.span_context.trace_id() == TraceId::from(trace))
            && span.span_context.trace_id() != TraceId::from(trace)
    };
    let spans = telemetry::testing::all_spans();
    spans.into_iter().filter(to_it).collect()
}

#[test]
fn an_attempt_is_a_child_of_the_span_that_created_the_event_and_links_to_it() {
    let telemetry = telemetry("child", TraceProcessing::Parent);
    let trace = 0xb1;

    let within = attempt(&telemetry, &record(trace, true, 9), 1, &Ok(Ok(())));

    assert_eq!(within, TraceId::from(trace));
    let spans = spans_of(TraceId::from(trace));
    let [span] = spans.as_slice() else {
        panic!("{spans:?}");
    };
    assert_eq!(span.name, "process events");
    assert_eq!(span.span_kind, SpanKind::Consumer);
    assert_eq!(span.parent_span_id, SpanId::from(CREATOR));
    assert_eq!(links(span), [SpanId::from(CREATOR)]);
    assert_eq!(span.status, Status::Unset);
    for (attribute, value) in [
        ("messaging.consumer.group.name", "child"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.partition.id", "3"),
        ("messaging.kafka.offset", "9"),
        ("messaging.kafka.message.key", "order-1"),
        ("messaging.message.id", "event-1"),
        ("event.attempt", "1"),
        ("server.address", "broker"),
    ] {
        assert_eq!(shown(span, attribute).as_deref(), Some(value));
    }
}

#[test]
fn the_flags_of_a_trace_are_read_as_the_propagator_reads_them() {
    for flags in 0..=u8::MAX {
        let traceparent = format!("00-{:032x}-{CREATOR:016x}-{flags:02x}", 0xc0);
        let header = ("traceparent".into(), Some(traceparent.clone().into()));
        let headers: kafka::headers::RecordHeaders = [header].into_iter().collect();

        let decided = propagation::of_record(&headers);

        let is_sampled = decided.span().span_context().is_sampled();
        assert_eq!(is_unsampled(&traceparent), !is_sampled, "{traceparent}");
    }
    assert!(!is_unsampled("00-1-2-0"), "left to the propagator");
}

#[test]
fn the_key_and_the_id_of_a_hostile_record_are_truncated_in_its_span() {
    let telemetry = telemetry("hostile", TraceProcessing::Parent);
    let trace = 0xbf;
    let mut record = record(trace, true, 9);
    record.key = Some(vec![b'k'; 100_000]);
    let mut headers = record.headers.to_vec();
    headers[0].1 = Some(vec![b'i'; 100_000]);
    record.headers = headers.into();
    let polled = link_to(&record).unwrap();

    attempt(&telemetry, &record, 1, &Ok(Ok(())));

    let [span] = &spans_of(TraceId::from(trace))[..] else {
        panic!("one span");
    };
    for attributes in [&span.attributes, &polled.attributes] {
        let sizes = attributes.iter().map(|of| of.value.to_string().len());
        assert!(sizes.max().unwrap() < 1_000, "{attributes:?}");
    }
}

#[test]
fn with_the_setting_link_an_attempt_starts_its_own_trace() {
    let telemetry = telemetry("link", TraceProcessing::Link);
    let trace = 0xb2;

    let within = attempt(&telemetry, &record(trace, true, 9), 1, &Ok(Ok(())));

    assert_ne!(within, TraceId::from(trace));
    let spans = spans_of(within);
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
    assert_eq!(links(&spans[0]), [SpanId::from(CREATOR)]);
}

#[test]
fn each_attempt_has_a_span_with_its_number_and_error() {
    let telemetry = telemetry("again", TraceProcessing::Parent);
    let (trace, record) = (0xb3, record(0xb3, true, 9));

    attempt(&telemetry, &record, 1, &Ok(Err(Failure::retry("away"))));
    attempt(&telemetry, &record, 2, &Err(Box::new("a panic")));
    attempt(
        &telemetry,
        &record,
        3,
        &Ok(Err(Failure::reject("no event"))),
    );

    let spans = spans_of(TraceId::from(trace));
    let seen: Vec<_> = spans
        .iter()
        .map(|span| (shown(span, "event.attempt"), shown(span, "error.type")))
        .collect();
    let pair = |attempt: &str, error: &str| (Some(attempt.to_owned()), Some(error.to_owned()));
    assert_eq!(
        seen,
        [
            pair("1", "retry"),
            pair("2", "panicked"),
            pair("3", "rejected")
        ]
    );
    assert!(spans.iter().all(|span| span.status == Status::error("")));
    let group = ("messaging.consumer.group.name", "again");
    let retries = measured("kafka.consumer.retries", group.0, group.1);
    assert_eq!(
        retries,
        [("messaging.destination.name=events".to_owned(), 2)]
    );
    let durations = measured("messaging.process.duration", group.0, group.1);
    assert_eq!(durations.len(), 3);
    assert_eq!(
        durations[0].0,
        "error.type=panicked messaging.destination.name=events messaging.operation.name=process messaging.system=kafka"
    );
}

#[test]
fn an_attempt_in_an_unsampled_trace_continues_it_without_a_span() {
    for (trace, setting) in [
        (0xb4, TraceProcessing::Parent),
        (0xb5, TraceProcessing::Link),
    ] {
        let telemetry = telemetry("silent", setting);

        let within = attempt(&telemetry, &record(trace, false, 9), 1, &Ok(Ok(())));

        assert_eq!(within, TraceId::from(trace));
        assert!(spans_of(within).is_empty());
    }
}

#[test]
fn an_event_without_a_trace_begins_one() {
    let telemetry = telemetry("traceless", TraceProcessing::Parent);
    let record = Record::default();

    let within = attempt(&telemetry, &record, 1, &Ok(Ok(())));

    let spans = spans_of(within);
    assert!(links(&spans[0]).is_empty());
    assert_eq!(
        shown(&spans[0], "messaging.kafka.message.tombstone").as_deref(),
        Some("true")
    );
}

#[test]
fn a_poll_links_to_each_sampled_event_of_its_batch() {
    let telemetry = telemetry("poll", TraceProcessing::Parent);
    let batch = [
        record(0xb6, true, 1),
        record(0xb7, false, 2),
        record(0xb6, true, 3),
    ];

    telemetry.polled(&batch, Duration::from_millis(5));

    let spans = linked_from_outside(0xb6);
    let [span] = spans.as_slice() else {
        panic!("{spans:?}");
    };
    assert_eq!(span.name, "poll events");
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(links(span), [SpanId::from(CREATOR); 2]);
    let links = span.links.iter();
    let offsets: Vec<_> = links.map(|link| link.attributes[0].value.clone()).collect();
    assert_eq!(offsets, [1.into(), 3.into()]);
    assert_eq!(
        shown(span, "messaging.batch.message_count").as_deref(),
        Some("3")
    );
    let lasted = span.end_time.duration_since(span.start_time).unwrap();
    assert!(lasted >= Duration::from_millis(5));
    let consumed = measured(
        "messaging.client.consumed.messages",
        "messaging.consumer.group.name",
        "poll",
    );
    assert_eq!(consumed[0].1, 3);
}

#[test]
fn a_batch_without_sampled_events_has_no_span() {
    let telemetry = telemetry("unseen", TraceProcessing::Parent);

    telemetry.polled(&[record(0xb8, false, 1)], Duration::ZERO);

    assert!(linked_from_outside(0xb8).is_empty());
}

#[test]
fn a_commit_that_fails_is_measured_as_an_error() {
    let telemetry = telemetry("commits", TraceProcessing::Parent);
    let refusal = KafkaError::ConsumerCommit(RDKafkaErrorCode::RebalanceInProgress);

    let _ = telemetry.committing(|| Ok(()));
    let _ = telemetry.committing(|| Err(refusal));

    let group = ("messaging.consumer.group.name", "commits");
    let durations = measured("messaging.client.operation.duration", group.0, group.1);
    let operation = "messaging.destination.name=events messaging.operation.name=commit messaging.operation.type=settle messaging.system=kafka";
    let failed = format!("error.type=REBALANCE_IN_PROGRESS {operation}");
    assert_eq!(durations, [(failed, 1), (operation.to_owned(), 1)]);
}

#[test]
fn the_gauges_follow_attempts_and_partitions() {
    let telemetry = telemetry("gauges", TraceProcessing::Parent);
    let group = ("messaging.consumer.group.name", "gauges");
    let in_flight = || measured("kafka.consumer.in_flight", group.0, group.1)[0].1;
    let lag = || measured("kafka.consumer.lag", group.0, group.1);
    let delivery = Delivery::new(record(0xb9, false, 1), 1, Vec::new());

    let observed = telemetry.attempt(&delivery, &Context::new());
    assert_eq!(in_flight(), 1);
    drop(observed);
    assert_eq!(in_flight(), 0);

    telemetry.consumer_lag().begin(3, Arc::default());
    telemetry.consumer_lag().read(
        br#"{"topics": {"events": {"partitions": {
            "3": {"partition": 3, "lo_offset": 0, "hi_offset": 7, "committed_offset": 2}}}}}"#,
    );
    let partition = "messaging.destination.name=events messaging.destination.partition.id=3";
    assert_eq!(lag(), [(partition.to_owned(), 5)]);
    telemetry.consumer_lag().end(&[3]);
    assert!(lag().is_empty());
}

#[test]
fn trace_processing_is_parent_unless_set() {
    let read = |text: Option<&str>| {
        let set = text.map(|text| ("TRACE_PROCESSING".to_owned(), text.to_owned()));
        let environment: BTreeMap<_, _> = set.into_iter().collect();
        let mut settings = Settings::new(&environment);
        let read = TraceProcessing::read(&mut settings);
        settings.finish(read)
    };

    assert_eq!(read(None).unwrap(), TraceProcessing::Parent);
    assert_eq!(read(Some("parent")).unwrap(), TraceProcessing::Parent);
    assert_eq!(read(Some("link")).unwrap(), TraceProcessing::Link);
    let mistake = read(Some("child")).unwrap_err().to_string();
    assert!(mistake.contains("TRACE_PROCESSING"), "{mistake}");
    assert!(mistake.contains("parent or link"), "{mistake}");
}
