//! Records in both directions, as delivered by a broker, and their decoding by the services.

use kafka::headers;
use order_service::conversion as orders;
use processing_service::conversion as processing;
use proto::event::{Event, OrderEvent, ProcessingEvent};
use proto::record::{self, Received};

/// The stored form of the headers, prefixed with its length, then the value.
pub(crate) fn events(bytes: &[u8]) {
    let Some((headers, payload)) = crate::split(bytes) else {
        return;
    };
    let Ok(headers) = headers::decode(headers) else {
        return;
    };
    if let Some(received) = decode::<OrderEvent>(&headers, payload)
        && let OrderEvent::OrderPlaced(message) = received.event
    {
        let _ = processing::order(&message);
    }
    if let Some(received) = decode::<ProcessingEvent>(&headers, payload) {
        orders::outcome(&received.event);
    }
}

/// A decoded event can be encoded and decoded again.
fn decode<E: Event + PartialEq + std::fmt::Debug>(
    headers: &headers::Headers,
    payload: &[u8],
) -> Option<Received<E>> {
    let received = record::decode::<E>(headers, Some(payload)).ok()??;
    let written = record::encode(&received.meta, &received.event, &[]);
    let again = record::decode::<E>(&written.headers, Some(&written.payload));
    assert_eq!(again.ok().flatten().as_ref(), Some(&received));
    Some(received)
}
