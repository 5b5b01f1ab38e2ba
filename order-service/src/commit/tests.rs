//! Each order is counted once, despite retries and redeliveries.

use telemetry::testing;
use uuid::Uuid;

use super::*;
use crate::domain::{Availability, OrderEvent, OrderId, Timestamp};
use crate::events;
use crate::fixture::{self, Fixture, request};
use crate::names::{attributes, metrics};

/// No other unit test accepts orders with this label.
fn accepted() -> u64 {
    fixture::counted(
        &metrics::ORDERS_ACCEPTED,
        &attributes::ORDER_AVAILABILITY,
        "confirmed",
    )
}

/// No other unit test ends orders with this label.
fn cancelled() -> u64 {
    fixture::counted(
        &metrics::ORDERS_COMPLETION_DURATION,
        &attributes::ORDER_STATUS,
        "cancelled",
    )
}

/// Without this request, no order can be cancelled.
fn cancellation(order_id: OrderId) -> CancelOrder {
    let event_id = Uuid::now_v7();
    let requested_at = Timestamp::from_unix_millis(1_500);
    CancelOrder {
        order_id,
        event_id,
        requested_at,
        event: Arc::new(events::cancellation_requested(
            order_id,
            event_id,
            requested_at,
        )),
    }
}

fn end(order_id: OrderId, sequence: u64) -> ApplyOutcome {
    ApplyOutcome {
        order_id,
        event_id: Uuid::now_v7(),
        sequence,
        event: Some(OrderEvent::OrderCancelled),
        occurred_at: Timestamp::from_unix_millis(2_000),
    }
}

#[tokio::test]
async fn an_accepted_order_is_counted_once_despite_retries() {
    testing::record_spans();
    let fixture = Fixture::start().await;
    let request = request();
    let confirmed = || {
        let mut command = fixture::place(&request);
        command.order.availability = Availability::Confirmed;
        command
    };

    let first = fixture.writers.place.submit(confirmed()).await;
    let again = fixture.writers.place.submit(confirmed()).await;

    assert_eq!(first.unwrap(), Placed::New);
    let again = again.unwrap();
    assert!(matches!(again, Placed::Duplicate(_)), "{again:?}");
    assert_eq!(accepted(), 1);
}

#[tokio::test]
async fn an_ended_order_is_measured_once_despite_redelivery() {
    testing::record_spans();
    let fixture = Fixture::start().await;
    let order_id = fixture.placed().await;
    let reply = fixture.writers.cancel.submit(cancellation(order_id)).await;
    assert!(matches!(reply, Ok(CancelReply::Requested(_))), "{reply:?}");
    let delivered = end(order_id, 1);

    let first = fixture.writers.apply.submit(delivered.clone()).await;
    let again = fixture.writers.apply.submit(delivered).await;
    let another = fixture.writers.apply.submit(end(order_id, 2)).await;

    let first = first.unwrap();
    assert!(matches!(first, Applied::Ended { .. }), "{first:?}");
    assert_eq!(again.unwrap(), Applied::Duplicate);
    let another = another.unwrap();
    assert!(matches!(another, Applied::Refused(_)), "{another:?}");
    assert_eq!(cancelled(), 1);
}
