//! Each kind of record, on a real store.

use futures::FutureExt;
use opentelemetry::Context;
use proto::event::{Event, EventIdentity};
use proto::orders::v1 as messages;
use proto::processing::v1::{OrderCancelled, OrderFulfilled, OrderRejected, StockReserved};
use service::deadline::Deadline;
use telemetry::names::spans::PROCESS;
use telemetry::testing;
use uuid::Uuid;

use super::*;
use crate::domain::OrderStatus;
use crate::fixture::{self, Fixture};

struct Harness {
    handler: OutcomeHandler,
    fixture: Fixture,
    order_id: OrderId,
}

impl Harness {
    /// A handler, and one order that is placed.
    async fn start() -> Self {
        let fixture = Fixture::start().await;
        Self {
            handler: OutcomeHandler::new(fixture.writers.apply.clone()),
            order_id: fixture.placed().await,
            fixture,
        }
    }

    async fn handle(&self, record: Record) -> Result<(), Failure> {
        let delivery = Delivery::new(record, 1, Vec::new());
        self.handler.handle(&delivery).await
    }

    fn reserved(&self, sequence: u64) -> Record {
        let order_id = self.order_id.to_string();
        let event = ProcessingEvent::StockReserved(StockReserved { order_id });
        self.record(sequence, &event)
    }

    fn record(&self, sequence: u64, event: &impl Event) -> Record {
        fixture::outcome(self.order_id, sequence, event)
    }

    async fn versions(&self) -> Vec<u64> {
        let store = &self.fixture.store;
        let history = store.entries_after(&[(self.order_id, 0)], 10).await;
        history.unwrap().iter().map(|entry| entry.version).collect()
    }

    async fn status(&self) -> OrderStatus {
        let order = self
            .fixture
            .store
            .get(self.order_id, Deadline::NEVER)
            .await
            .unwrap();
        order.unwrap().status
    }
}

#[tokio::test]
async fn an_outcome_updates_its_order_and_wakes_its_watchers() {
    let harness = Harness::start().await;
    let mut watcher = harness.fixture.watchers.subscribe(harness.order_id);

    harness.handle(harness.reserved(1)).await.unwrap();

    assert_eq!(harness.status().await, OrderStatus::Processing);
    assert!(watcher.changed().now_or_never().is_some());
}

#[tokio::test]
async fn an_attempt_records_the_new_status_and_reason_and_a_redelivery_records_none() {
    testing::record_spans();
    let harness = Harness::start().await;
    let rejected = OrderRejected {
        order_id: harness.order_id.to_string(),
        reason: messages::RejectionReason::PaymentDeclined.into(),
        ..OrderRejected::default()
    };
    let record = harness.record(1, &ProcessingEvent::OrderRejected(rejected));

    let mut recorded = Vec::new();
    for _ in 0..2 {
        let attempt = PROCESS.continuing("attempt", &Context::new(), Vec::new());
        let trace = attempt.span_context().trace_id();
        let handled = attempt.carry(harness.handle(record.clone())).await;
        handled.unwrap();
        drop(attempt);
        let spans = testing::spans_of(trace);
        let attempt = spans.into_iter().find(|span| span.name == "attempt");
        recorded.push(attempt.unwrap().attributes);
    }

    let expected = [
        attributes::ORDER_STATUS.of("rejected"),
        attributes::ORDER_REJECTION_REASON.of("PAYMENT_DECLINED"),
    ];
    assert_eq!(recorded, [expected.to_vec(), Vec::new()]);
}

#[tokio::test]
async fn a_redelivered_outcome_is_a_no_op() {
    let harness = Harness::start().await;
    let record = harness.reserved(1);

    harness.handle(record.clone()).await.unwrap();
    harness.handle(record).await.unwrap();

    let history = harness
        .fixture
        .store
        .entries_after(&[(harness.order_id, 0)], 10)
        .await
        .unwrap();
    assert_eq!(history.len(), 2);
}

#[tokio::test]
async fn an_invalid_record_is_rejected() {
    let harness = Harness::start().await;
    let mut truncated = harness.reserved(1);
    truncated.payload = Some(vec![0xff]);
    let mut tombstone = harness.reserved(1);
    tombstone.payload = None;

    for record in [Record::default(), truncated, tombstone] {
        let outcome = harness.handle(record).await;
        assert!(matches!(outcome, Err(Failure::Reject(_))), "{outcome:?}");
    }
    assert_eq!(harness.status().await, OrderStatus::Accepted);
}

/// Events of a release of processing-service to come. This release decodes neither.
enum Newer {
    /// Optional.
    ParcelWeighed(OrderId),
    /// A new final event: to skip it would leave the order open for ever.
    OrderLost(OrderId),
}

impl Event for Newer {
    const SOURCE: &'static str = ProcessingEvent::SOURCE;
    const PACKAGE: &'static str = ProcessingEvent::PACKAGE;

    fn identity(&self) -> EventIdentity<'_> {
        let (event_type, name) = match self {
            Self::ParcelWeighed(_) => ("com.example.processing.parcel-weighed.v1", "ParcelWeighed"),
            Self::OrderLost(_) => ("com.example.processing.order-lost.v1", "OrderLost"),
        };
        EventIdentity {
            event_type,
            name,
            // In the message, which no reader of this release decodes.
            order_id: "",
        }
    }

    fn encode_payload(&self) -> Vec<u8> {
        let (Self::ParcelWeighed(order_id) | Self::OrderLost(order_id)) = self;
        order_id.to_string().into_bytes()
    }

    fn decode_payload(_: &str, _: &[u8]) -> Option<Result<Self, prost::DecodeError>> {
        None
    }

    fn must_understand(&self) -> bool {
        matches!(self, Self::OrderLost(_))
    }
}

#[tokio::test]
async fn an_optional_event_of_a_newer_release_is_skipped_and_the_next_outcome_is_no_gap() {
    let harness = Harness::start().await;
    let weighed = harness.record(2, &Newer::ParcelWeighed(harness.order_id));
    let order_id = harness.order_id.to_string();
    let fulfilled = ProcessingEvent::OrderFulfilled(OrderFulfilled {
        order_id,
        ..OrderFulfilled::default()
    });

    harness.handle(harness.reserved(1)).await.unwrap();
    for _ in 0..2 {
        // Also when it is delivered again.
        harness.handle(weighed.clone()).await.unwrap();
    }
    harness.handle(harness.record(3, &fulfilled)).await.unwrap();

    assert_eq!(harness.status().await, OrderStatus::Fulfilled);
    let versions = harness.versions().await;
    assert_eq!(versions, [1, 2, 3], "the skipped event is no entry");
}

#[tokio::test]
async fn an_event_of_a_newer_release_that_must_be_understood_is_retried_and_not_passed() {
    let harness = Harness::start().await;
    let lost = harness.record(1, &Newer::OrderLost(harness.order_id));

    let outcome = harness.handle(lost).await;

    assert!(matches!(outcome, Err(Failure::Retry(_))), "{outcome:?}");
    let behind = harness.handle(harness.reserved(2)).await;
    assert!(matches!(behind, Err(Failure::Reject(_))), "{behind:?}");
    assert_eq!(harness.status().await, OrderStatus::Accepted);
}

#[tokio::test]
async fn an_optional_event_about_no_order_or_an_unknown_one_is_ignored() {
    let mut harness = Harness::start().await;
    harness.order_id = OrderId::new(Uuid::now_v7());
    let of_unknown_order = harness.record(1, &Newer::ParcelWeighed(harness.order_id));
    let mut without_position = of_unknown_order.clone();
    let mut headers = without_position.headers.to_vec();
    headers.retain(|(name, _)| name != b"ce_sequence");
    without_position.headers = headers.into();

    harness.handle(of_unknown_order).await.unwrap();
    harness.handle(without_position).await.unwrap();
}

#[tokio::test]
async fn an_outcome_of_an_unknown_order_is_rejected() {
    let mut harness = Harness::start().await;
    harness.order_id = OrderId::new(Uuid::now_v7());

    let outcome = harness.handle(harness.reserved(1)).await;

    assert!(matches!(outcome, Err(Failure::Reject(_))), "{outcome:?}");
}

#[tokio::test]
async fn an_outcome_after_a_gap_is_rejected_and_changes_nothing() {
    let harness = Harness::start().await;

    let outcome = harness.handle(harness.reserved(2)).await;

    assert!(matches!(outcome, Err(Failure::Reject(_))), "{outcome:?}");
    assert_eq!(harness.status().await, OrderStatus::Accepted);
}

#[tokio::test]
async fn an_outcome_that_the_order_refuses_is_rejected_with_its_reason() {
    let harness = Harness::start().await;
    let order_id = harness.order_id.to_string();
    let fulfilled = OrderFulfilled {
        order_id: order_id.clone(),
        ..OrderFulfilled::default()
    };
    let fulfilled = ProcessingEvent::OrderFulfilled(fulfilled);
    harness.handle(harness.record(1, &fulfilled)).await.unwrap();

    let cancelled = ProcessingEvent::OrderCancelled(OrderCancelled { order_id });
    let outcome = harness.handle(harness.record(2, &cancelled)).await;

    let Err(Failure::Reject(cause)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(cause.to_string().contains(&harness.order_id.to_string()));
    assert_eq!(
        cause.source().unwrap().to_string(),
        "the order is final: FULFILLED"
    );
}

#[test]
fn an_unavailable_store_is_retried_and_damaged_data_is_rejected() {
    let operation = "test";
    let unavailable = StoreError::Unavailable {
        operation,
        source: "down".into(),
    };
    let damaged = StoreError::Damaged {
        operation,
        source: "odd".into(),
    };

    assert!(matches!(
        write_failed(SubmitError::Failed(unavailable)),
        Failure::Retry(_)
    ));
    assert!(matches!(
        write_failed(SubmitError::Stopped),
        Failure::Retry(_)
    ));
    assert!(matches!(
        write_failed(SubmitError::QueueFull),
        Failure::Retry(_)
    ));
    assert!(matches!(
        write_failed(SubmitError::Failed(damaged)),
        Failure::Reject(_)
    ));
}
