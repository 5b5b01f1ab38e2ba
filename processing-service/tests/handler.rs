//! The event handler on a real database, with the simulated gateway.

use crate::support::desk::{at_every_desk, cancellation_of, placed};
use crate::support::fixture::{captured, order};
use consumer::Failure;
use kafka::headers::RecordHeaders;
use kafka::record::Record;
use processing_service::domain::{Order, PaymentToken, RejectionReason, SagaState, Step};
use proto::event::{Event as _, ProcessingEvent};
use proto::record;

fn paid_with(token: &str) -> Order {
    Order {
        payment_token: PaymentToken::parse(token).unwrap(),
        ..order(&[("A", 3)])
    }
}

#[tokio::test]
async fn an_approved_order_is_fulfilled() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");

        desk.handle(placed(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Fulfilled));
        assert_eq!(desk.shop.stock("A").await, (7, 0, 3));
        assert_eq!(
            desk.shop.payment(&order).await,
            Some(("CAPTURED".to_owned(), 255))
        );
        let announced = [
            (1, "StockReserved"),
            (2, "PaymentCaptured"),
            (3, "OrderFulfilled"),
        ];
        assert_eq!(desk.shop.announced(&order).await, announced);
    })
    .await;
}

#[tokio::test]
async fn a_declined_order_is_rejected_and_its_stock_is_free_again() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_declined");

        desk.handle(placed(&order), &[]).await.unwrap();

        let state = SagaState::Rejected(RejectionReason::PaymentDeclined);
        assert_eq!(desk.shop.saga(&order).await, Some(state));
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
        assert_eq!(desk.gateway.captures(), 1);
    })
    .await;
}

#[tokio::test]
async fn captures_without_an_answer_are_limited() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_unavailable");

        desk.handle(placed(&order), &[]).await.unwrap();

        let state = SagaState::Rejected(RejectionReason::PaymentUnavailable);
        assert_eq!(desk.shop.saga(&order).await, Some(state));
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
        assert_eq!((desk.gateway.captures(), desk.gateway.refunds()), (3, 1));
    })
    .await;
}

#[tokio::test]
async fn a_capture_that_times_out_is_retried() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_timeout_once");

        desk.handle(placed(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Fulfilled));
        assert_eq!(desk.gateway.captures(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_sku_is_rejected_before_any_payment() {
    at_every_desk(&[], async |desk| {
        let order = paid_with("tok_approved");

        desk.handle(placed(&order), &[]).await.unwrap();

        let state = SagaState::Rejected(RejectionReason::UnknownSku);
        assert_eq!(desk.shop.saga(&order).await, Some(state));
        assert_eq!(desk.gateway.captures(), 0);
    })
    .await;
}

#[tokio::test]
async fn an_order_out_of_stock_is_rejected_before_any_payment() {
    at_every_desk(&[("A", 2)], async |desk| {
        let order = paid_with("tok_approved");

        desk.handle(placed(&order), &[]).await.unwrap();

        let state = SagaState::Rejected(RejectionReason::OutOfStock);
        assert_eq!(desk.shop.saga(&order).await, Some(state));
        assert_eq!(desk.gateway.captures(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_queued_before_the_first_step_wins() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");

        desk.handle(placed(&order), &[cancellation_of(&order)])
            .await
            .unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.announced(&order).await, [(1, "OrderCancelled")]);
        assert_eq!(desk.gateway.captures(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_of_another_order_changes_nothing() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        let other = cancellation_of(&paid_with("tok_approved"));

        desk.handle(placed(&order), &[other, Record::default()])
            .await
            .unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Fulfilled));
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_during_the_capture_refunds_and_releases_everything() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;
        desk.capture_alone(&order).await;

        desk.handle(placed(&order), &[cancellation_of(&order)])
            .await
            .unwrap();
        desk.handle(cancellation_of(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
        assert_eq!(
            desk.shop.payment(&order).await,
            Some(("REFUNDED".to_owned(), 255))
        );
        assert_eq!(desk.gateway.refunds(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_after_shipping_is_a_no_op() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.handle(placed(&order), &[]).await.unwrap();

        desk.handle(cancellation_of(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Fulfilled));
        assert_eq!(desk.shop.announced(&order).await.len(), 3);
        assert_eq!(desk.shop.inbox().await.len(), 2);
        assert_eq!(desk.gateway.refunds(), 0);
    })
    .await;
}

/// The outcomes of the order were lost: its open order at order-service is published again.
#[tokio::test]
async fn an_order_that_is_published_again_gets_its_outcomes_again_with_their_old_ids() {
    at_every_desk(&[("A", 10)], async |desk| {
        for (token, outcomes) in [("tok_approved", 3), ("tok_declined", 2)] {
            let order = paid_with(token);
            let mut again = placed(&order);
            let mut headers = again.headers.to_vec();
            record::mark_republished(&mut headers);
            again.headers = headers.into();
            let key = |received: &record::Received<ProcessingEvent>| {
                (
                    received.meta.id,
                    received.meta.sequence,
                    received.event.name(),
                )
            };

            // The first time it is only a new order.
            desk.handle(again.clone(), &[]).await.unwrap();
            let first: Vec<_> = desk.shop.events(&order).await.iter().map(key).collect();
            assert_eq!(first.len(), outcomes);
            desk.handle(placed(&order), &[]).await.unwrap();
            assert_eq!(
                desk.shop.events(&order).await.len(),
                outcomes,
                "a redelivery"
            );

            desk.handle(again, &[]).await.unwrap();

            let all: Vec<_> = desk.shop.events(&order).await.iter().map(key).collect();
            assert_eq!(all, [first.clone(), first].concat());
        }
        assert_eq!(desk.gateway.captures(), 2);
    })
    .await;
}

/// The event of the order was lost: its customer gets an answer, and the order does not start if the event comes after all.
#[tokio::test]
async fn a_cancellation_of_an_order_that_never_arrived_ends_it_and_its_late_event_starts_nothing() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");

        desk.handle(cancellation_of(&order), &[]).await.unwrap();
        desk.handle(placed(&order), &[]).await.unwrap();
        desk.handle(cancellation_of(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.announced(&order).await, [(1, "OrderCancelled")]);
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
        assert_eq!(desk.gateway.captures(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_ends_an_order_that_stopped_between_steps() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;

        desk.handle(cancellation_of(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn an_order_is_resumed_after_a_crash_between_any_two_commits() {
    let steps = [Step::Reserve, Step::Capture];
    for crash_after in 0..=steps.len() {
        at_every_desk(&[("A", 10)], async |desk| {
            let order = paid_with("tok_approved");
            for step in &steps[..crash_after] {
                desk.take(*step, &order).await;
            }

            desk.handle(placed(&order), &[]).await.unwrap();

            let fulfilled = Some(SagaState::Fulfilled);
            assert_eq!(desk.shop.saga(&order).await, fulfilled, "{crash_after}");
            assert_eq!(desk.shop.stock("A").await, (7, 0, 3), "{crash_after}");
            assert_eq!(desk.shop.announced(&order).await.len(), 3, "{crash_after}");
            assert_eq!(desk.gateway.captures(), 1, "{crash_after}");
        })
        .await;
    }
}

#[tokio::test]
async fn an_order_that_an_earlier_release_left_captured_is_shipped() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;
        desk.capture_alone(&order).await;
        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Captured));

        desk.handle(placed(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Fulfilled));
        assert_eq!(desk.shop.stock("A").await, (7, 0, 3));
        assert_eq!(desk.shop.announced(&order).await.len(), 3);
        assert_eq!(desk.gateway.captures(), 1);
    })
    .await;
}

/// Two commits: one before the call of the provider, one after it.
#[tokio::test]
async fn payment_and_shipment_of_an_order_are_one_commit() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;
        desk.shop.database.refuse_rows("shipments").await;

        let failure = desk.handle(placed(&order), &[]).await;

        assert!(failure.is_err(), "{failure:?}");
        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Reserved));
        assert_eq!(desk.shop.payment(&order).await, None);
        assert_eq!(desk.shop.announced(&order).await, [(1, "StockReserved")]);
    })
    .await;
}

#[tokio::test]
async fn a_capture_whose_record_was_lost_in_a_crash_is_not_made_twice() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;
        let lost = desk.capture_without_recording(&order).await;

        desk.handle(placed(&order), &[]).await.unwrap();

        assert_eq!(
            desk.shop.capture_id(&order).await,
            Some(lost.as_str().to_owned())
        );
    })
    .await;
}

#[tokio::test]
async fn a_crash_between_refund_and_record_still_ends_in_the_cancellation() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;
        desk.shop.advance(&order, captured()).await;
        desk.gateway.fail_refunds(1);
        let cancelled = desk
            .handle(placed(&order), &[cancellation_of(&order)])
            .await;
        assert!(matches!(cancelled, Err(Failure::Retry(_))), "{cancelled:?}");

        // The event is redelivered before the cancellation is consumed again.
        desk.handle(placed(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn an_order_does_not_end_while_money_may_still_be_charged() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_unavailable");
        desk.gateway.fail_refunds(1);

        let failure = desk.handle(placed(&order), &[]).await.unwrap_err();
        assert!(matches!(failure, Failure::Retry(_)));
        assert!(!desk.shop.saga(&order).await.unwrap().is_final());

        desk.handle(placed(&order), &[]).await.unwrap();
        assert!(desk.shop.saga(&order).await.unwrap().is_final());
    })
    .await;
}

#[tokio::test]
async fn an_event_delivered_again_changes_nothing() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");

        for _ in 0..3 {
            desk.handle(placed(&order), &[]).await.unwrap();
        }

        assert_eq!(desk.shop.stock("A").await, (7, 0, 3));
        assert_eq!(desk.shop.announced(&order).await.len(), 3);
        assert_eq!(
            (desk.gateway.captures(), desk.shop.inbox().await.len()),
            (1, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn a_record_that_is_no_event_is_rejected() {
    at_every_desk(&[], async |desk| {
        let order = paid_with("tok_approved");
        let garbage = Record {
            payload: Some(vec![0xFF; 16]),
            ..placed(&order)
        };

        for record in [garbage, Record::default()] {
            let failure = desk.handle(record, &[]).await.unwrap_err();
            assert!(matches!(failure, Failure::Reject(_)), "{failure:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_invalid_order_is_rejected_as_a_dead_letter() {
    at_every_desk(&[("A", 10)], async |desk| {
        let empty = order(&[]);

        let failure = desk.handle(placed(&empty), &[]).await.unwrap_err();

        assert!(matches!(failure, Failure::Reject(_)), "{failure:?}");
        assert_eq!(desk.shop.saga(&empty).await, None);
    })
    .await;
}

/// The headers of the record, with another type.
fn with_type(record: &Record, event_type: &str) -> RecordHeaders {
    let mut headers = record.headers.to_vec();
    for (name, value) in &mut headers {
        if name == b"ce_type" {
            *value = Some(event_type.into());
        }
    }
    headers.into()
}

#[tokio::test]
async fn an_event_of_an_unknown_type_is_ignored() {
    at_every_desk(&[], async |desk| {
        let mut record = placed(&paid_with("tok_approved"));
        record.headers = with_type(&record, "com.example.orders.order-praised.v1");

        desk.handle(record, &[]).await.unwrap();

        assert!(desk.shop.inbox().await.is_empty());
    })
    .await;
}

/// A type that a release to come publishes with the attribute `mustunderstand`, and one with an invalid value of it.
#[tokio::test]
async fn an_event_of_an_unknown_type_that_must_be_understood_waits_for_another_release() {
    at_every_desk(&[], async |desk| {
        let mut record = placed(&paid_with("tok_approved"));
        record.headers = with_type(&record, "com.example.orders.order-reopened.v1");
        let with = |value: &[u8]| {
            let mut record = record.clone();
            let mut headers = record.headers.to_vec();
            headers.push((record::MUST_UNDERSTAND.into(), Some(value.to_vec())));
            record.headers = headers.into();
            record
        };

        desk.handle(with(b"false"), &[]).await.unwrap();
        let waits = desk.handle(with(b"true"), &[]).await.unwrap_err();
        let invalid = desk.handle(with(b"maybe"), &[]).await.unwrap_err();

        assert!(matches!(waits, Failure::Retry(_)), "{waits:?}");
        assert!(matches!(invalid, Failure::Reject(_)), "{invalid:?}");
        assert!(desk.shop.inbox().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_database_error_is_retried() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.shop.database.hide("sagas").await;

        let failure = desk.handle(placed(&order), &[]).await.unwrap_err();
        assert!(matches!(failure, Failure::Retry(_)), "{failure:?}");

        desk.shop.database.show("sagas").await;
        desk.handle(placed(&order), &[]).await.unwrap();
        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Fulfilled));
    })
    .await;
}

#[tokio::test]
async fn an_event_whose_rows_the_database_refuses_is_rejected() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.shop.database.refuse_rows("sagas").await;

        let failure = desk.handle(placed(&order), &[]).await.unwrap_err();

        assert!(matches!(failure, Failure::Reject(_)), "{failure:?}");
        assert_eq!(desk.shop.saga(&order).await, None);
    })
    .await;
}
