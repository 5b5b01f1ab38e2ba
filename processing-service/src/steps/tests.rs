//! A cancellation that arrives while a step runs. (Decisions between the steps are tested in `tests/handler/cancellation.rs`.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use consumer::inbox::InboxEntry;
use outbox::HandOver;
use service::backoff::Backoff;
use service::config::FromSetting;
use sql::database::{Database, DatabaseConfig};
use sql::owner::Owner;
use sql::url::DatabaseUrl;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::*;
use crate::catalogue::Catalogue;
use crate::domain::{CaptureId, Currency, Demand, Money, PaymentToken, Quantity, Sku, StockLevel};
use crate::payment::{CaptureError, CaptureRequest, GatewayUnavailable, PaymentGateway};
use crate::store::{self, MIGRATIONS, ProcessingStore};

/// A provider during whose capture the customer cancels.
#[derive(Default)]
struct CancelledMeanwhile {
    cancelled: AtomicBool,
    refunded: AtomicBool,
}

#[async_trait]
impl PaymentGateway for CancelledMeanwhile {
    async fn capture(&self, _: &CaptureRequest) -> Result<CaptureId, CaptureError> {
        self.cancelled.store(true, Ordering::SeqCst);
        Ok(CaptureId::new("cap_1"))
    }

    async fn refund(&self, _: OrderId) -> Result<(), GatewayUnavailable> {
        self.refunded.store(true, Ordering::SeqCst);
        Ok(())
    }
}

async fn store(directory: &tempfile::TempDir) -> Arc<dyn ProcessingStore> {
    let url = format!("sqlite://{}/processing.db", directory.path().display());
    let config = DatabaseConfig {
        url: DatabaseUrl::from_setting(&url).unwrap(),
        connections: 4,
        migrate_at_start: false,
        owner: Owner::new("processing-service", ""),
    };
    let database = Database::open(&config, MIGRATIONS).await.unwrap();
    let store = store::open(&database, HandOver::default(), &TaskTracker::new());
    let catalogue = Catalogue::read("sku,name,opening_stock\nA,HOLDER,10\n".as_bytes()).unwrap();
    store.seed(&catalogue).await.unwrap();
    store
}

fn order() -> Order {
    let line = (Sku::parse("A").unwrap(), Quantity::new(3).unwrap());
    Order {
        id: OrderId::new(Uuid::now_v7()),
        demand: Demand::of([line]),
        total: Money::new(Currency::parse("GBP").unwrap(), 255).unwrap(),
        payment_token: PaymentToken::parse("tok_approved").unwrap(),
    }
}

fn cause(order: &Order) -> Cause {
    let event = InboxEntry {
        event_id: Uuid::now_v7(),
        key: order.id.as_uuid(),
        sequence: 1,
    };
    Cause {
        event: Some(event),
        trace: [].into(),
    }
}

#[tokio::test]
async fn a_cancellation_that_arrives_during_the_capture_wins_over_shipping() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = Arc::new(CancelledMeanwhile::default());
    let pipeline = Pipeline {
        store: store(&directory).await,
        gateway: Arc::clone(&gateway) as Arc<dyn PaymentGateway>,
        capture: CapturePolicy {
            attempts: 1,
            timeout: Duration::from_secs(5),
            backoff: Backoff {
                initial: Duration::ZERO,
                cap: Duration::ZERO,
            },
        },
        sagas_kept: Duration::from_secs(90 * 86_400),
    };
    let order = order();
    let cancelled = || gateway.cancelled.load(Ordering::SeqCst);

    let end = process(&pipeline, &order, &cause(&order), &cancelled)
        .await
        .unwrap();

    assert_eq!(end, SagaState::Cancelled);
    assert!(gateway.refunded.load(Ordering::SeqCst));
    let sku = Sku::parse("A").unwrap();
    let levels = pipeline.store.levels(&[sku.clone()].into()).await.unwrap();
    assert_eq!(levels[&sku], StockLevel::opening(10));
}
