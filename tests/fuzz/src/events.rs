//! Records in both directions, as delivered by a broker: through librdkafka's headers and their wrapper, the decoding of the
//! services, what they make of the event, and what an operator sees of a record that was rejected.

use consumer::operator::Vocabulary;
use kafka::headers::{self, Headers, RecordHeaders, write_native};
use kafka::record::Record;
use order_service::conversion as orders;
use processing_service::conversion as processing;
use proto::event::{Event, OrderEvent, ProcessingEvent};
use proto::record::{self, Received};
use telemetry::propagation;

/// The stored form of the headers, prefixed with its length, then the value.
pub(crate) fn events(bytes: &[u8]) {
    let Some((headers, payload)) = crate::split(bytes) else {
        return;
    };
    let Ok(headers) = headers::decode(headers) else {
        return;
    };
    let headers = as_received(&headers);
    let _ = propagation::of_record(&headers);
    show(&headers, payload);
    if let Some(received) = decode::<OrderEvent>(&headers, payload)
        && let OrderEvent::OrderPlaced(message) = received.event
    {
        let _ = processing::order(&message);
    }
    if let Some(received) = decode::<ProcessingEvent>(&headers, payload) {
        orders::outcome(&received.event);
    }
}

/// The headers as librdkafka returns them to the consumer: a name ends at its first NUL, all other bytes are the same.
fn as_received(sent: &Headers) -> RecordHeaders {
    let received = RecordHeaders::from_native(write_native(sent).as_borrowed());
    let expected = sent.iter().map(|(name, value)| {
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        (name.to_vec(), value.clone())
    });
    assert_eq!(received.to_vec(), expected.collect::<Headers>());
    let stored = received.as_encoded().to_vec();
    assert_eq!(RecordHeaders::from_encoded(stored).as_ref(), Ok(&received));
    received
}

/// The text of the `dead-letters` command.
fn show(headers: &RecordHeaders, payload: &[u8]) {
    let record = Record {
        headers: headers.clone(),
        payload: Some(payload.to_vec()),
        ..Record::default()
    };
    for Vocabulary {
        event_type,
        describe,
        ..
    } in [
        order_service::operator::VOCABULARY,
        processing_service::operator::VOCABULARY,
    ] {
        let _ = event_type(headers);
        assert!(!describe(&record).is_empty());
    }
}

/// A decoded event can be encoded and decoded again.
fn decode<E: Event + PartialEq + std::fmt::Debug>(
    headers: &RecordHeaders,
    payload: &[u8],
) -> Option<Received<E>> {
    let received = record::decode::<E>(headers, Some(payload)).ok()??;
    let written = record::encode(&received.meta, &received.event, &[]);
    let again = record::decode::<E>(&written.headers, Some(&written.payload));
    assert_eq!(again.ok().flatten().as_ref(), Some(&received));
    Some(received)
}
