//! The format of a record, and the errors for malformed ones.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::event::{OrderEvent, ProcessingEvent};
use crate::orders::v1::{CancellationRequested, Money, OrderLine, OrderPlaced};

fn placed(order_id: Uuid) -> OrderEvent {
    OrderEvent::OrderPlaced(OrderPlaced {
        order_id: order_id.to_string(),
        customer_id: "17850".to_owned(),
        lines: vec![OrderLine {
            sku: "85123A".to_owned(),
            quantity: 6,
            unit_price: Some(Money {
                currency_code: "GBP".to_owned(),
                minor_units: 255,
            }),
        }],
        total: Some(Money {
            currency_code: "GBP".to_owned(),
            minor_units: 1530,
        }),
        payment_token: "tok_approved".to_owned(),
    })
}

fn meta(order_id: Uuid) -> EventMeta {
    EventMeta {
        id: Uuid::from_u128(7),
        order_id,
        sequence: 1,
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
    }
}

fn without(record: &Record, name: &str) -> Headers {
    let kept = record
        .headers
        .iter()
        .filter(|(header, _)| header != name.as_bytes());
    kept.cloned().collect()
}

fn with(record: &Record, name: &str, value: &str) -> Headers {
    let mut headers = without(record, name);
    headers.push((name.into(), Some(value.into())));
    headers
}

#[test]
fn an_event_survives_the_way_through_a_record() {
    let order_id = Uuid::from_u128(42);
    let event = placed(order_id);

    let record = encode(&meta(order_id), &event, &[]);
    let received = decode::<OrderEvent>(&record.headers, Some(&record.payload));

    let received = received.unwrap().unwrap();
    assert_eq!(received.event, event);
    assert_eq!(received.meta, meta(order_id));
    assert_eq!(record.key, order_id.to_string().into_bytes());
}

#[test]
fn headers_are_read_in_place() {
    let order_id = Uuid::from_u128(42);
    let record = encode(&meta(order_id), &placed(order_id), &[]);
    let (headers, payload) = (&record.headers, record.payload.as_slice());
    let event_type = header(headers, "ce_type").unwrap();

    let message = || drop(OrderEvent::decode_payload(event_type, payload));
    let message = allocation_counter::measure(message).count_total;
    let event = || drop(decode::<OrderEvent>(headers, Some(payload)));
    let event = allocation_counter::measure(event).count_total;

    assert_eq!(event, message);
}

#[test]
fn a_record_carries_every_attribute_that_cloudevents_requires_and_the_trace_context() {
    let order_id = Uuid::from_u128(42);
    let trace = [("traceparent".to_owned(), "00-aa-bb-01".to_owned())];

    let record = encode(&meta(order_id), &placed(order_id), &trace);

    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", "00000000-0000-0000-0000-000000000007"),
        ("ce_source", "/order-service"),
        ("ce_type", "com.example.orders.order-placed.v1"),
        ("ce_time", "2023-11-14T22:13:20.123Z"),
        ("ce_sequence", "00000000000000000001"),
        ("content-type", "application/protobuf"),
        ("traceparent", "00-aa-bb-01"),
    ];
    for (name, value) in expected {
        assert_eq!(header(&record.headers, name), Some(value), "{name}");
    }
    // The two others are ce_subject and ce_dataschema.
    assert_eq!(record.headers.len(), expected.len() + 2);
}

#[test]
fn an_event_of_an_unknown_type_is_not_an_error() {
    let order_id = Uuid::from_u128(42);
    let record = encode(&meta(order_id), &placed(order_id), &[]);

    let headers = with(&record, "ce_type", "com.example.orders.order-praised.v1");

    assert!(
        decode::<OrderEvent>(&headers, Some(&record.payload))
            .unwrap()
            .is_none()
    );
    assert!(
        decode::<ProcessingEvent>(&record.headers, Some(&record.payload))
            .unwrap()
            .is_none()
    );
}

/// The order events of a release to come, as this release receives them.
struct Newer {
    must_understand: bool,
    order_id: String,
}

impl Event for Newer {
    const SOURCE: &'static str = OrderEvent::SOURCE;
    const PACKAGE: &'static str = OrderEvent::PACKAGE;

    fn identity(&self) -> EventIdentity<'_> {
        EventIdentity {
            event_type: "com.example.orders.order-praised.v1",
            name: "OrderPraised",
            order_id: &self.order_id,
        }
    }

    fn encode_payload(&self) -> Vec<u8> {
        vec![0xff]
    }

    fn decode_payload(_: &str, _: &[u8]) -> Option<Result<Self, prost::DecodeError>> {
        None
    }

    fn must_understand(&self) -> bool {
        self.must_understand
    }
}

#[test]
fn an_event_of_a_newer_release_says_whether_it_may_be_skipped() {
    let order_id = Uuid::from_u128(42);

    for must_understand in [false, true] {
        let newer = Newer {
            must_understand,
            order_id: order_id.to_string(),
        };
        let record = encode(&meta(order_id), &newer, &[]);
        let known = decode::<OrderEvent>(&record.headers, Some(&record.payload));
        assert!(known.unwrap().is_none());

        let unknown = decode_unknown(&record.headers).unwrap();

        assert_eq!(unknown.must_understand, must_understand);
        assert_eq!(unknown.meta, Some(meta(order_id)));
        let without_position = without(&record, "ce_sequence");
        assert_eq!(decode_unknown(&without_position).unwrap().meta, None);
    }
}

#[test]
fn malformed_headers_of_an_unknown_type_are_named() {
    let order_id = Uuid::from_u128(42);
    let record = encode(&meta(order_id), &placed(order_id), &[]);

    for (name, value) in [
        (MUST_UNDERSTAND, "yes"),
        ("ce_sequence", "second"),
        ("ce_subject", "7"),
    ] {
        let error = decode_unknown(&with(&record, name, value)).unwrap_err();
        let expected = format!("header {name} is malformed: {value:?}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn what_is_missing_or_malformed_is_named() {
    let order_id = Uuid::from_u128(42);
    let record = encode(&meta(order_id), &placed(order_id), &[]);
    let mistakes = [
        (without(&record, "ce_id"), "header ce_id is missing"),
        (without(&record, "ce_type"), "header ce_type is missing"),
        (
            with(&record, "ce_id", "7"),
            "header ce_id is malformed: \"7\"",
        ),
        (
            with(&record, "ce_time", "noon"),
            "header ce_time is malformed: \"noon\"",
        ),
        (
            with(&record, "ce_sequence", "-1"),
            "header ce_sequence is malformed: \"-1\"",
        ),
        (
            with(&record, "ce_specversion", "0.3"),
            "header ce_specversion is malformed: \"0.3\"",
        ),
        (
            with(&record, "content-type", "application/cloudevents+json"),
            "header content-type is malformed: \"application/cloudevents+json\"",
        ),
    ];

    for (headers, message) in mistakes {
        let error = decode::<OrderEvent>(&headers, Some(&record.payload)).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let tombstone = decode::<OrderEvent>(&record.headers, None).unwrap_err();
    assert_eq!(tombstone.to_string(), "the record has no value");
}

#[test]
fn a_message_about_another_order_than_its_subject_is_refused() {
    let order_id = Uuid::from_u128(42);
    let foreign = OrderEvent::CancellationRequested(CancellationRequested {
        order_id: Uuid::from_u128(43).to_string(),
    });

    let record = encode(&meta(order_id), &foreign, &[]);

    let error = decode::<OrderEvent>(&record.headers, Some(&record.payload)).unwrap_err();
    assert!(matches!(error, RecordError::OrderMismatch { subject } if subject == order_id));
}

/// Known names, and any bytes.
fn header_name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "ce_[a-z]{2,12}|content-type".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..8),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(
        headers in proptest::collection::vec((header_name(), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..64))), 0..16),
        payload in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..256)),
    ) {
        let _ = decode::<OrderEvent>(&headers, payload.as_deref());
    }

    #[test]
    fn no_payload_makes_the_decoder_panic(payload in proptest::collection::vec(any::<u8>(), 0..256)) {
        let order_id = Uuid::from_u128(42);
        let record = encode(&meta(order_id), &placed(order_id), &[]);
        let _ = decode::<OrderEvent>(&record.headers, Some(&payload));
    }
}
