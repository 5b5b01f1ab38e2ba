//! Client messages without the gRPC framing.

use grpc::server::violations::Violations;
use order_service::conversion;
use order_service::domain::CustomerId;
use order_service::rpc;
use order_service::rpc::PageToken;
use prost::Message;
use proto::inventory::v1::CheckAvailabilityRequest;
use proto::orders::v1 as messages;
use proto::processing::v1::ProcessOrderRequest;

/// Maximum size of the violations in an error: the header limit of the strictest client.
const MAX_FAULTS_BYTES: usize = 8 * 1024;

/// The same bytes as each of the requests with fields to parse.
pub(crate) fn requests(bytes: &[u8]) {
    if let Ok(request) = messages::PlaceOrderRequest::decode(bytes) {
        place_order(request);
    }
    if let Ok(request) = messages::ListOrdersRequest::decode(bytes) {
        let _ = rpc::parse_list_orders(request);
    }
    if let Ok(request) = messages::WatchOrderRequest::decode(bytes) {
        let _ = rpc::parse_watch_order(&request);
    }
    if let Ok(request) = CheckAvailabilityRequest::decode(bytes) {
        let parsed = processing_service::rpc::parse_check_availability(&request);
        parsed.err().iter().for_each(assert_small);
    }
    if let Ok(request) = ProcessOrderRequest::decode(bytes) {
        let parsed = processing_service::rpc::parse_process_order(&request);
        parsed.err().iter().for_each(assert_small);
    }
}

fn place_order(request: messages::PlaceOrderRequest) {
    match rpc::parse_place_order(request) {
        Ok(order) => {
            let stored = conversion::encode_body(&order.lines);
            assert_eq!(conversion::decode_body(&stored).ok(), Some(order.lines));
        }
        Err(faults) => assert_small(&faults),
    }
}

fn assert_small(faults: &Violations) {
    let named = faults.listed().iter();
    let bytes: usize = named
        .map(|fault| fault.field.len() + fault.rule.len())
        .sum();
    assert!((1..=MAX_FAULTS_BYTES).contains(&bytes), "{bytes} bytes");
}

/// The name of a customer, prefixed with its length, then a token.
pub(crate) fn page_tokens(bytes: &[u8]) {
    let Some((customer, token)) = crate::split(bytes) else {
        return;
    };
    let (Ok(customer), Ok(token)) = (std::str::from_utf8(customer), std::str::from_utf8(token))
    else {
        return;
    };
    let Ok(customer) = CustomerId::parse(customer) else {
        return;
    };
    if let Ok(page) = PageToken::parse(token, &customer) {
        assert_eq!(page.encode(&customer), token);
    }
}
