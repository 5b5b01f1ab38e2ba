//! ProcessOrder from the client's side: the outcome of a whole order, deadlines, and retries.

use std::time::Duration;

use processing_service::domain::{Order, PaymentToken, SagaState, Step};
use processing_service::rpc::ProcessingRpc;
use proto::orders::v1::{Money, OrderLine, OrderStatus, RejectionReason};
use proto::processing::v1::processing_service_server::ProcessingService;
use proto::processing::v1::{ProcessOrderRequest, ProcessOrderResponse};
use service::deadline::Deadline;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::support::desk::{Desk, at_every_desk, placed};
use crate::support::fixture::order;

/// Every order is processed to its end within this time.
const AMPLE: Duration = Duration::from_secs(30);

struct Counter {
    rpc: ProcessingRpc,
    tasks: TaskTracker,
    _prepared: watch::Sender<bool>,
}

impl Counter {
    fn of(desk: &Desk, is_prepared: bool) -> Self {
        let (prepared, receiver) = watch::channel(is_prepared);
        let tasks = TaskTracker::new();
        let rpc = ProcessingRpc {
            pipeline: desk.pipeline(),
            tasks: tasks.clone(),
            prepared: receiver,
        };
        Self {
            rpc,
            tasks,
            _prepared: prepared,
        }
    }

    async fn process(
        &self,
        order: &Order,
        within: Duration,
    ) -> Result<ProcessOrderResponse, Status> {
        let mut request = Request::new(request_for(order));
        // As the server's deadline layer does.
        request.extensions_mut().insert(Deadline::within(within));
        let response = self.rpc.process_order(request).await;
        response.map(tonic::Response::into_inner)
    }

    /// Waits until the orders that outlived their calls have ended.
    async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

fn request_for(order: &Order) -> ProcessOrderRequest {
    let lines = order.demand.iter().map(|(sku, pieces)| OrderLine {
        sku: sku.as_str().to_owned(),
        quantity: i32::try_from(pieces).unwrap(),
        unit_price: None,
    });
    ProcessOrderRequest {
        order_id: order.id.to_string(),
        lines: lines.collect(),
        total: Some(Money {
            currency_code: order.total.currency().to_string(),
            minor_units: order.total.minor_units(),
        }),
        payment_token: order.payment_token.expose().to_owned(),
    }
}

fn paid_with(token: &str) -> Order {
    Order {
        payment_token: PaymentToken::parse(token).unwrap(),
        ..order(&[("A", 3)])
    }
}

fn told(response: &ProcessOrderResponse) -> (OrderStatus, RejectionReason) {
    (response.status(), response.rejection_reason())
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().unwrap().reason.clone()
}

#[tokio::test]
async fn a_call_has_the_outcome_and_the_effects_of_the_event() {
    at_every_desk(&[("A", 10)], async |desk| {
        let counter = Counter::of(&desk, true);
        for token in ["tok_approved", "tok_declined", "tok_unavailable"] {
            let (by_call, by_event) = (paid_with(token), paid_with(token));

            counter.process(&by_call, AMPLE).await.unwrap();
            desk.handle(placed(&by_event), &[]).await.unwrap();

            let shop = &desk.shop;
            assert_eq!(shop.saga(&by_call).await, shop.saga(&by_event).await);
            assert_eq!(shop.payment(&by_call).await, shop.payment(&by_event).await);
            assert_eq!(
                shop.announced(&by_call).await,
                shop.announced(&by_event).await
            );
        }
        assert_eq!(desk.shop.stock("A").await, (4, 0, 6));
    })
    .await;
}

#[tokio::test]
async fn the_reply_names_the_final_state_and_the_reason_of_a_rejection() {
    at_every_desk(&[("A", 10)], async |desk| {
        let counter = Counter::of(&desk, true);
        let unknown = order(&[("Z", 1)]);

        let approved = counter.process(&paid_with("tok_approved"), AMPLE).await;
        let declined = counter.process(&paid_with("tok_declined"), AMPLE).await;
        let unknown = counter.process(&unknown, AMPLE).await;

        let outcomes = [approved, declined, unknown].map(|reply| told(&reply.unwrap()));
        assert_eq!(
            outcomes,
            [
                (OrderStatus::Fulfilled, RejectionReason::Unspecified),
                (OrderStatus::Rejected, RejectionReason::PaymentDeclined),
                (OrderStatus::Rejected, RejectionReason::UnknownSku),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn a_retry_replies_with_the_saved_outcome_and_has_no_second_effect() {
    at_every_desk(&[("A", 10)], async |desk| {
        let counter = Counter::of(&desk, true);
        let order = paid_with("tok_approved");

        let first = counter.process(&order, AMPLE).await.unwrap();
        let again = counter.process(&order, AMPLE).await.unwrap();

        assert_eq!(again, first);
        assert_eq!(desk.shop.stock("A").await, (7, 0, 3));
        assert_eq!(
            (desk.gateway.captures(), desk.shop.shipments().await),
            (1, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn an_order_that_was_processed_by_its_event_has_no_second_effect_by_a_call() {
    at_every_desk(&[("A", 10)], async |desk| {
        let counter = Counter::of(&desk, true);
        let order = paid_with("tok_approved");
        desk.handle(placed(&order), &[]).await.unwrap();

        let reply = counter.process(&order, AMPLE).await.unwrap();

        assert_eq!(reply.status(), OrderStatus::Fulfilled);
        assert_eq!(desk.shop.stock("A").await, (7, 0, 3));
        assert_eq!(desk.gateway.captures(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_retry_continues_an_order_whose_process_died_between_two_steps() {
    at_every_desk(&[("A", 10)], async |desk| {
        let counter = Counter::of(&desk, true);
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;

        let reply = counter.process(&order, AMPLE).await.unwrap();

        assert_eq!(reply.status(), OrderStatus::Fulfilled);
        assert_eq!(desk.shop.stock("A").await, (7, 0, 3));
    })
    .await;
}

#[tokio::test]
async fn without_time_left_an_order_is_not_begun() {
    at_every_desk(&[("A", 10)], async |desk| {
        let counter = Counter::of(&desk, true);
        let order = paid_with("tok_approved");

        let late = counter.process(&order, Duration::ZERO).await.unwrap_err();

        assert_eq!(late.code(), Code::DeadlineExceeded);
        assert_eq!(reason(&late), "DEADLINE_EXCEEDED");
        assert_eq!(desk.shop.saga(&order).await, None);
    })
    .await;
}

/// The first capture makes the payment and does not answer until after the deadline.
#[tokio::test]
async fn an_order_that_is_not_done_by_its_deadline_is_cancelled_and_refunded() {
    at_every_desk(&[("A", 10)], async |desk| {
        let counter = Counter::of(&desk, true);
        let order = paid_with("tok_timeout_once");

        let late = counter.process(&order, Duration::from_millis(40)).await;
        counter.settle().await;
        let retried = counter.process(&order, AMPLE).await.unwrap();

        assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(retried.status(), OrderStatus::Cancelled);
        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
        assert_eq!(desk.gateway.refunds(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_refund_without_an_answer_is_unavailable_and_a_retry_finishes_it() {
    at_every_desk(&[("A", 10)], async |desk| {
        let counter = Counter::of(&desk, true);
        let order = paid_with("tok_unavailable");
        desk.gateway.fail_refunds(1);

        let undecided = counter.process(&order, AMPLE).await.unwrap_err();
        let retried = counter.process(&order, AMPLE).await.unwrap();

        assert_eq!(undecided.code(), Code::Unavailable);
        assert_eq!(reason(&undecided), "PAYMENT_UNDECIDED");
        let expected = (OrderStatus::Rejected, RejectionReason::PaymentUnavailable);
        assert_eq!(told(&retried), expected);
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn an_invalid_order_is_refused_with_all_violations() {
    at_every_desk(&[("A", 10)], async |desk| {
        let counter = Counter::of(&desk, true);

        let empty = Request::new(ProcessOrderRequest::default());
        let refused = counter.rpc.process_order(empty).await.unwrap_err();

        assert_eq!(refused.code(), Code::InvalidArgument);
        let details = refused.get_error_details();
        let faults = &details.bad_request().unwrap().field_violations;
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["order_id", "lines", "total", "payment_token"]);
    })
    .await;
}

#[tokio::test]
async fn before_the_stock_is_seeded_no_order_is_rejected() {
    at_every_desk(&[], async |desk| {
        let counter = Counter::of(&desk, false);
        let order = paid_with("tok_approved");

        let early = counter.process(&order, AMPLE).await.unwrap_err();

        assert_eq!(
            (early.code(), &*reason(&early)),
            (Code::Unavailable, "STARTING")
        );
        assert_eq!(desk.shop.saga(&order).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_away_is_unavailable() {
    at_every_desk(&[("A", 10)], async |desk| {
        let counter = Counter::of(&desk, true);
        desk.shop.database.database().close().await;

        let refused = counter.process(&paid_with("tok_approved"), AMPLE).await;

        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(reason(&status), "STORE_UNAVAILABLE");
    })
    .await;
}
