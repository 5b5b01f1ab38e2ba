//! The span attributes of a call, and the metric of shed calls.

use grpc::status::CallRejection;
use opentelemetry::Context;
use opentelemetry_sdk::trace::SpanData;
use telemetry::names::attributes::SHED_REASON;
use telemetry::names::metrics::GRPC_SERVER_CALLS_SHED;
use telemetry::names::spans::RPC_SERVER;
use telemetry::testing;

use super::*;
use crate::fixture;
use crate::names::attributes::{ORDER_AVAILABILITY, ORDER_ID};

/// Values that must not appear in a trace.
const CUSTOMER: &str = "customer-77341";
const TOKEN: &str = "tok_secret_77341";

/// Places an order within the span of a call, as the server does. Returns all spans of the trace, the call's last, and the
/// order.
async fn place(harness: &Harness) -> (Vec<SpanData>, messages::Order) {
    let request = messages::PlaceOrderRequest {
        customer_id: CUSTOMER.to_owned(),
        payment_token: TOKEN.to_owned(),
        ..request()
    };
    let call = RPC_SERVER.continuing("PlaceOrder", &Context::new(), Vec::new());
    let trace = call.span_context().trace_id();
    let placed = call.carry(harness.rpc.place_order(by_anyone(request)));
    let placed = placed.await.unwrap().into_inner();
    drop(call);
    (testing::spans_of(trace), placed.order.unwrap())
}

#[tokio::test]
async fn the_span_of_place_order_has_the_order_and_neither_customer_nor_payment() {
    testing::record_spans();
    let harness = Harness::start().await;

    let (spans, order) = place(&harness).await;

    let call = spans.last().unwrap();
    assert_eq!(call.name, "PlaceOrder");
    let expected = [
        ORDER_ID.of(order.order_id),
        ORDER_AVAILABILITY.of("not_checked"),
    ];
    assert_eq!(call.attributes, expected);
    let exported = format!("{spans:?}");
    for secret in [CUSTOMER, TOKEN] {
        assert!(!exported.contains(secret), "{exported}");
    }
}

#[tokio::test]
async fn a_shed_call_is_counted_by_reason() {
    testing::record_spans();
    let harness = Harness::start().await;
    let wait = Duration::from_secs(1);

    for (error, reason) in [
        (RpcError::TooManyStreams, "concurrency"),
        (RpcError::Backlogged, "backlog"),
        (RpcError::Overloaded, "queue"),
        (
            RpcError::Refused(CallRejection::RateLimited(wait)),
            "customer_rate_limit",
        ),
    ] {
        let counted = || fixture::counted(&GRPC_SERVER_CALLS_SHED, &SHED_REASON, reason);
        let before = counted();
        harness.rpc.refuse(error);
        // Other tests shed calls concurrently.
        assert!(counted() > before, "{reason}");
    }
}
