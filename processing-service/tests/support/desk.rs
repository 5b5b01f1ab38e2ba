//! The event handler with a store, a counting payment provider, and the records to deliver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};
use kafka::record::Record;
use processing_service::domain::{CaptureId, Order, OrderId, SagaEvent, Step};
use processing_service::events::OrderEvents;
use processing_service::payment::simulated::SimulatedGateway;
use processing_service::payment::{
    CaptureError, CaptureRequest, GatewayUnavailable, PaymentGateway,
};
use processing_service::steps::{self, CapturePolicy, Pipeline};
use proto::event::{Event, OrderEvent};
use proto::orders::v1::{CancellationRequested, Money, OrderLine, OrderPlaced};
use proto::record::{self, EventMeta};
use service::backoff::Backoff;
use uuid::Uuid;

use crate::support::fixture::{self, Fixture, on_every_database};

/// A handler and its dependencies.
pub(crate) struct Desk {
    pub(crate) shop: Fixture,
    pub(crate) gateway: Arc<CountingGateway>,
    pipeline: Pipeline,
}

/// Checks a rule of the handler on both engines, each with this opening stock.
pub(crate) async fn at_every_desk(stock: &[(&str, u32)], rule: impl AsyncFn(Desk)) {
    on_every_database(stock, async |shop| rule(Desk::of(shop)).await).await;
}

impl Desk {
    fn of(shop: Fixture) -> Self {
        let gateway = Arc::new(CountingGateway::default());
        let pipeline = Pipeline {
            store: Arc::clone(&shop.store),
            gateway: Arc::clone(&gateway) as Arc<dyn PaymentGateway>,
            capture: SHORT_TIMEOUTS,
            sagas_kept: Duration::from_secs(90 * 86_400),
        };
        Self {
            shop,
            gateway,
            pipeline,
        }
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        self.pipeline.clone()
    }

    /// Delivers a record with the records queued behind it.
    pub(crate) async fn handle(&self, record: Record, followers: &[Record]) -> Result<(), Failure> {
        let delivery = Delivery::new(record, 1, followers.to_vec());
        OrderEvents::new(self.pipeline.clone())
            .handle(&delivery)
            .await
    }

    /// Runs one step, as if the process died after its commit.
    pub(crate) async fn take(&self, step: Step, order: &Order) {
        let cause = fixture::cause(order.id);
        steps::run(&self.pipeline, step, order, &cause, &|| false)
            .await
            .unwrap();
    }

    /// Captures and records it alone, as an earlier release did.
    pub(crate) async fn capture_alone(&self, order: &Order) {
        let capture_id = self.capture_without_recording(order).await;
        let event = SagaEvent::PaymentCaptured(capture_id, order.total);
        self.shop.advance(order, event).await;
    }

    /// Captures at the provider, as if the process died before recording it.
    pub(crate) async fn capture_without_recording(&self, order: &Order) -> CaptureId {
        let request = CaptureRequest {
            key: order.id,
            amount: order.total,
            token: order.payment_token.clone(),
        };
        self.gateway.capture(&request).await.unwrap()
    }
}

const SHORT_TIMEOUTS: CapturePolicy = CapturePolicy {
    attempts: 3,
    timeout: Duration::from_millis(50),
    backoff: Backoff {
        initial: Duration::from_millis(1),
        cap: Duration::from_millis(2),
    },
};

/// The simulated provider with call counts, and refunds that fail on request.
pub(crate) struct CountingGateway {
    simulated: SimulatedGateway,
    captures: AtomicU32,
    refunds: AtomicU32,
    failing_refunds: AtomicU32,
}

impl Default for CountingGateway {
    fn default() -> Self {
        Self {
            simulated: SimulatedGateway::new(Duration::ZERO),
            captures: AtomicU32::new(0),
            refunds: AtomicU32::new(0),
            failing_refunds: AtomicU32::new(0),
        }
    }
}

impl CountingGateway {
    /// Requested captures.
    pub(crate) fn captures(&self) -> u32 {
        self.captures.load(Ordering::SeqCst)
    }

    /// Confirmed refunds.
    pub(crate) fn refunds(&self) -> u32 {
        self.refunds.load(Ordering::SeqCst)
    }

    /// The next `count` refunds take effect, but their answers are lost.
    pub(crate) fn fail_refunds(&self, count: u32) {
        self.failing_refunds.store(count, Ordering::SeqCst);
    }
}

#[async_trait]
impl PaymentGateway for CountingGateway {
    async fn capture(&self, request: &CaptureRequest) -> Result<CaptureId, CaptureError> {
        self.captures.fetch_add(1, Ordering::SeqCst);
        self.simulated.capture(request).await
    }

    async fn refund(&self, key: OrderId) -> Result<(), GatewayUnavailable> {
        self.simulated.refund(key).await?;
        let failing = self.failing_refunds.load(Ordering::SeqCst);
        if failing > 0 {
            self.failing_refunds.store(failing - 1, Ordering::SeqCst);
            return Err(GatewayUnavailable);
        }
        self.refunds.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// The order's OrderPlaced record.
pub(crate) fn placed(order: &Order) -> Record {
    let lines = order.demand.iter().map(|(sku, pieces)| OrderLine {
        sku: sku.as_str().to_owned(),
        quantity: i32::try_from(pieces).unwrap(),
        unit_price: None,
    });
    let event = OrderPlaced {
        order_id: order.id.to_string(),
        customer_id: "guest".to_owned(),
        lines: lines.collect(),
        total: Some(Money {
            currency_code: order.total.currency().to_string(),
            minor_units: order.total.minor_units(),
        }),
        payment_token: order.payment_token.expose().to_owned(),
    };
    record(
        order,
        1,
        fixture::event_id(order.id),
        &OrderEvent::OrderPlaced(event),
    )
}

/// The order's CancellationRequested record.
pub(crate) fn cancellation_of(order: &Order) -> Record {
    let event = CancellationRequested {
        order_id: order.id.to_string(),
    };
    let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, order.id.as_uuid().as_bytes());
    record(order, 2, id, &OrderEvent::CancellationRequested(event))
}

fn record(order: &Order, sequence: u64, id: Uuid, event: &impl Event) -> Record {
    let meta = EventMeta {
        id,
        order_id: order.id.as_uuid(),
        sequence,
        time: std::time::SystemTime::now(),
    };
    let record = record::encode(&meta, event, &[]);
    Record {
        topic: proto::topics::ORDER_EVENTS.to_owned(),
        key: Some(record.key),
        headers: record.headers.into(),
        payload: Some(record.payload),
        ..Record::default()
    }
}
