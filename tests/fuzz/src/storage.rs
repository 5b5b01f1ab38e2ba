//! Columns that hold encoded values: a damaged one must not take a service down.

use kafka::headers;
use order_service::conversion;
use processing_service::conversion;
use processing_service::domain::OrderId;
use uuid::Uuid;

/// The headers of an outbox row.
pub(crate) fn headers(bytes: &[u8]) {
    if let Ok(decoded) = headers::decode(bytes) {
        assert_eq!(headers::encode(&decoded), bytes);
    }
}

/// The lines of an order, as each service keeps them.
pub(crate) fn orders(bytes: &[u8]) {
    if let Ok(lines) = conversion::decode_body(bytes) {
        let stored = conversion::encode_body(&lines);
        assert_eq!(conversion::decode_body(&stored).ok(), Some(lines));
    }
    if let Some(demand) = conversion::stored_demand(bytes) {
        let stored = conversion::stored_order(OrderId::new(Uuid::nil()), &demand);
        assert_eq!(conversion::stored_demand(&stored), Some(demand));
    }
}
