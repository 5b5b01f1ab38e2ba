//! The event handler on a real database, with the simulated gateway.

mod cancellation;
mod crash;
mod record;

use crate::support::desk::{at_every_desk, placed};
use crate::support::fixture::order;
use processing_service::domain::{Order, PaymentToken, RejectionReason, SagaState};

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
