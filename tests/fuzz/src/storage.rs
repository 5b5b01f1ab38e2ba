//! Columns with encoded values: a damaged value must not crash a service.

use kafka::headers;
use order_service::conversion as orders;
use processing_service::conversion as processing;
use processing_service::domain::OrderId;
use uuid::Uuid;

/// The headers of an outbox row.
pub(crate) fn headers(bytes: &[u8]) {
    if let Ok(decoded) = headers::decode(bytes) {
        assert_eq!(headers::encode(&decoded), bytes);
    }
}

/// The lines of an order in the storage format of each service.
pub(crate) fn orders(bytes: &[u8]) {
    if let Ok(lines) = orders::decode_body(bytes) {
        let stored = orders::encode_body(&lines);
        assert_eq!(orders::decode_body(&stored).ok(), Some(lines));
    }
    if let Some(demand) = processing::stored_demand(bytes) {
        let stored = processing::stored_order(OrderId::new(Uuid::nil()), &demand);
        assert_eq!(processing::stored_demand(&stored), Some(demand));
    }
}
