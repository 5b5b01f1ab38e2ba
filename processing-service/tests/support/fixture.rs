//! A store on a database of its own, orders to put into it, and eyes to see what it wrote.

#![allow(
    dead_code,
    reason = "each test target uses its own part of the fixture"
)]

use std::sync::Arc;

use chassis::config::{DatabaseUrl, FromSetting};
use chassis::inbox::InboxEntry;
use chassis::outbox::sqlite::SqliteOutbox;
use chassis::outbox::{Outbox, OutboxSignal};
use chassis::sqlite::Sqlite;
use processing_service::catalogue::Catalogue;
use processing_service::domain::{
    CaptureId, Currency, Demand, Money, Order, OrderId, PaymentToken, Quantity, SagaEvent,
    SagaState, ShipmentId, Sku, StockLevel,
};
use processing_service::store::sqlite::{MIGRATIONS, SqliteStore};
use processing_service::store::{Cause, OpenSaga, Opening, ProcessingStore, Recorded};
use proto::event::ProcessingEvent;
use proto::record;
use sqlx::Row;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// A store with an empty shop.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn ProcessingStore>,
    outbox: Arc<dyn Outbox>,
    database: Arc<Sqlite>,
    _directory: TempDir,
}

impl Fixture {
    /// A shop with these opening stocks.
    pub(crate) async fn with_stock(stock: &[(&str, u32)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/processing.db", directory.path().display());
        let url = DatabaseUrl::from_setting(&url).unwrap();
        let database = Arc::new(Sqlite::open(&url, &MIGRATIONS).await.unwrap());
        let signal = OutboxSignal::default();
        let store = SqliteStore::start(Arc::clone(&database), signal, &TaskTracker::new());
        let fixture = Self {
            store: Arc::new(store),
            outbox: Arc::new(SqliteOutbox::new(Arc::clone(&database))),
            database,
            _directory: directory,
        };
        fixture.seed(stock).await;
        fixture
    }

    pub(crate) async fn seed(&self, stock: &[(&str, u32)]) -> u64 {
        let lines = stock
            .iter()
            .map(|(sku, pieces)| format!("{sku},A THING,{pieces}\n"));
        let text = format!("sku,name,opening_stock\n{}", lines.collect::<String>());
        let catalogue = Catalogue::read(text.as_bytes()).unwrap();
        self.store.seed(&catalogue).await.unwrap()
    }

    pub(crate) async fn reserve(&self, order: &Order) -> Recorded {
        self.open(order, Opening::Reserve).await
    }

    pub(crate) async fn open(&self, order: &Order, opening: Opening) -> Recorded {
        let saga = OpenSaga::new(order, opening);
        self.store.open(saga, cause(order.id)).await.unwrap()
    }

    pub(crate) async fn advance(&self, order: &Order, event: SagaEvent) -> Recorded {
        self.store
            .advance(order.id, event, cause(order.id))
            .await
            .unwrap()
    }

    /// Takes the order to its end the good way.
    pub(crate) async fn fulfil(&self, order: &Order) {
        self.reserve(order).await;
        self.advance(order, captured()).await;
        let state = self.advance(order, shipped(order)).await.state();
        assert_eq!(state, SagaState::Fulfilled);
    }

    pub(crate) async fn saga(&self, order: &Order) -> Option<SagaState> {
        self.store.saga(order.id).await.unwrap()
    }

    /// Available, reserved and shipped pieces.
    pub(crate) async fn stock(&self, sku: &str) -> (i64, i64, i64) {
        let sku = Sku::parse(sku).unwrap();
        let StockLevel {
            available,
            reserved,
            shipped,
        } = self.store.stock(&sku).await.unwrap().unwrap();
        (available, reserved, shipped)
    }

    /// What waits to be published about the order: sequence numbers and names.
    pub(crate) async fn announced(&self, order: &Order) -> Vec<(u64, &'static str)> {
        let events = self.events(order).await;
        events
            .iter()
            .map(|received| (received.meta.sequence, received.event.name()))
            .collect()
    }

    pub(crate) async fn events(&self, order: &Order) -> Vec<record::Received<ProcessingEvent>> {
        let rows = self.outbox.read(0, 10_000).await.unwrap();
        let of_order = rows
            .into_iter()
            .filter(|row| row.key == order.id.to_string());
        of_order
            .map(|row| {
                record::decode(&row.headers, Some(&row.payload))
                    .unwrap()
                    .unwrap()
            })
            .collect()
    }

    /// The headers of all that waits to be published.
    pub(crate) async fn headers(&self) -> Vec<chassis::headers::Headers> {
        let rows = self.outbox.read(0, 10_000).await.unwrap();
        rows.into_iter().map(|row| row.headers).collect()
    }

    /// Events that were acted upon.
    pub(crate) async fn inbox(&self) -> Vec<Uuid> {
        let rows = sqlx::query("SELECT event_id FROM inbox").fetch_all(self.database.reader());
        rows.await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// State and minor units of the order's payment.
    pub(crate) async fn payment(&self, order: &Order) -> Option<(String, i64)> {
        let row = sqlx::query("SELECT state, minor_units FROM payments WHERE order_id = ?")
            .bind(order.id.as_uuid())
            .fetch_optional(self.database.reader());
        row.await.unwrap().map(|row| (row.get(0), row.get(1)))
    }

    pub(crate) async fn capture_id(&self, order: &Order) -> Option<String> {
        let row = sqlx::query("SELECT capture_id FROM payments WHERE order_id = ?")
            .bind(order.id.as_uuid())
            .fetch_optional(self.database.reader());
        row.await.unwrap().map(|row| row.get(0))
    }

    pub(crate) async fn shipments(&self) -> i64 {
        let row = sqlx::query("SELECT count(*) FROM shipments").fetch_one(self.database.reader());
        row.await.unwrap().get(0)
    }

    /// Changes the database behind the store's back.
    pub(crate) async fn tamper(&self, statement: &'static str) {
        let mut transaction = self.database.begin().await.unwrap();
        sqlx::query(statement)
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }
}

/// An order of its own for these pieces, paid with `tok_approved`.
pub(crate) fn order(lines: &[(&str, i32)]) -> Order {
    let lines = lines
        .iter()
        .map(|&(sku, pieces)| (Sku::parse(sku).unwrap(), Quantity::new(pieces).unwrap()));
    Order {
        id: OrderId::new(Uuid::now_v7()),
        demand: Demand::of(lines),
        total: total(),
        payment_token: PaymentToken::parse("tok_approved").unwrap(),
    }
}

pub(crate) fn total() -> Money {
    Money::new(Currency::parse("GBP").unwrap(), 255).unwrap()
}

/// The event that brought the order, always the same one.
pub(crate) fn cause(order_id: OrderId) -> Cause {
    let event = InboxEntry {
        event_id: event_id(order_id),
        key: order_id.as_uuid(),
        sequence: 1,
    };
    let trace = [("traceparent".to_owned(), TRACEPARENT.to_owned())];
    Cause {
        event,
        trace: Arc::new(trace),
    }
}

pub(crate) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Identity of the event that brought the order.
pub(crate) fn event_id(order_id: OrderId) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, order_id.as_uuid().as_bytes())
}

pub(crate) fn captured() -> SagaEvent {
    SagaEvent::PaymentCaptured(CaptureId::new("cap_1"), total())
}

pub(crate) fn shipped(order: &Order) -> SagaEvent {
    SagaEvent::Shipped(ShipmentId::of(order.id))
}
