//! A store on a database of its own, orders for it, and readers of its rows.

use std::sync::Arc;

use consumer::inbox::InboxEntry;
use kafka::headers::{self, Headers};
use outbox::HandOver;
use processing_service::catalogue::Catalogue;
use processing_service::domain::{
    CaptureId, Currency, Demand, Money, Order, OrderId, PaymentToken, Quantity, SagaEvent,
    SagaState, ShipmentId, Sku, StockLevel,
};
use processing_service::store::{self, Cause, OpenSaga, Opening, ProcessingStore, Recorded};
use proto::event::{Event, ProcessingEvent};
use proto::record;
use sql::database::Database;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::support::database::TestDatabase;

/// A store on its own database.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn ProcessingStore>,
    pub(crate) database: TestDatabase,
}

/// Checks a rule on both engines, each with this opening stock.
pub(crate) async fn on_every_database(stock: &[(&str, u32)], rule: impl AsyncFn(Fixture)) {
    eprintln!("on SQLite");
    rule(Fixture::on(TestDatabase::sqlite().await, stock).await).await;
    eprintln!("on PostgreSQL");
    rule(Fixture::on(TestDatabase::postgres().await, stock).await).await;
}

impl Fixture {
    pub(crate) async fn on(database: TestDatabase, stock: &[(&str, u32)]) -> Self {
        let fixture = Self {
            store: open_store(database.database()),
            database,
        };
        fixture.seed(stock).await;
        fixture
    }

    /// The store of another replica on the same database, and its connections.
    pub(crate) async fn replica(&self) -> (Arc<dyn ProcessingStore>, Database) {
        let database = self.database.open_again().await;
        (open_store(&database), database)
    }

    pub(crate) async fn seed(&self, stock: &[(&str, u32)]) -> u64 {
        self.store.seed(&catalogue(stock)).await.unwrap()
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
            .advance(order.id, vec![event], cause(order.id))
            .await
            .unwrap()
    }

    /// Runs all steps of the order to FULFILLED.
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
        } = self.store.levels(&[sku.clone()].into()).await.unwrap()[&sku];
        (available, reserved, shipped)
    }

    /// Sequence numbers and names of the order's events in the outbox.
    pub(crate) async fn announced(&self, order: &Order) -> Vec<(u64, &'static str)> {
        let events = self.events(order).await;
        events
            .iter()
            .map(|received| (received.meta.sequence, received.event.name()))
            .collect()
    }

    pub(crate) async fn events(&self, order: &Order) -> Vec<record::Received<ProcessingEvent>> {
        let key = order.id.to_string();
        let rows = self.outbox().await.into_iter().filter(|row| row.0 == key);
        rows.map(|(_, headers, payload)| record::decode(&headers, Some(&payload)).unwrap().unwrap())
            .collect()
    }

    /// The headers of all outbox rows.
    pub(crate) async fn headers(&self) -> Vec<Headers> {
        let rows = self.outbox().await.into_iter();
        rows.map(|(_, headers, _)| headers).collect()
    }

    /// Key, headers and payload of all outbox rows, in commit order.
    async fn outbox(&self) -> Vec<(String, Headers, Vec<u8>)> {
        let rows: Vec<(String, Vec<u8>, Vec<u8>)> = self
            .database
            .rows("SELECT key, headers, payload FROM outbox ORDER BY seq")
            .await;
        rows.into_iter()
            .map(|(key, headers, payload)| (key, headers::decode(&headers).unwrap(), payload))
            .collect()
    }

    pub(crate) async fn inbox(&self) -> Vec<Uuid> {
        let rows = self.database.rows("SELECT event_id FROM inbox").await;
        rows.into_iter().map(|(event_id,)| event_id).collect()
    }

    /// State and minor units of the order's payment.
    pub(crate) async fn payment(&self, order: &Order) -> Option<(String, i64)> {
        let payment = self.payments().await.into_iter();
        let mut of_order = payment.filter(|row| row.0 == order.id.as_uuid());
        of_order.next().map(|(_, _, state, amount)| (state, amount))
    }

    pub(crate) async fn capture_id(&self, order: &Order) -> Option<String> {
        let payment = self.payments().await.into_iter();
        let mut of_order = payment.filter(|row| row.0 == order.id.as_uuid());
        of_order.next().map(|(_, capture_id, ..)| capture_id)
    }

    async fn payments(&self) -> Vec<(Uuid, String, String, i64)> {
        self.database
            .rows("SELECT order_id, capture_id, state, minor_units FROM payments")
            .await
    }

    pub(crate) async fn shipments(&self) -> i64 {
        let count = self.database.rows("SELECT count(*) FROM shipments").await;
        let (shipments,) = count[0];
        shipments
    }
}

/// A store whose writer runs until the test ends.
fn open_store(database: &Database) -> Arc<dyn ProcessingStore> {
    store::open(database, HandOver::default(), &TaskTracker::new())
}

pub(crate) fn catalogue(stock: &[(&str, u32)]) -> Catalogue {
    let lines = stock
        .iter()
        .map(|(sku, pieces)| format!("{sku},A THING,{pieces}\n"));
    let text = format!("sku,name,opening_stock\n{}", lines.collect::<String>());
    Catalogue::read(text.as_bytes()).unwrap()
}

/// A new order for these pieces, paid with `tok_approved`.
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

/// The order's OrderPlaced event: the same one on every call.
pub(crate) fn cause(order_id: OrderId) -> Cause {
    let event = InboxEntry {
        event_id: event_id(order_id),
        key: order_id.as_uuid(),
        sequence: 1,
    };
    let trace = [("traceparent".to_owned(), TRACEPARENT.to_owned())];
    Cause {
        event: Some(event),
        trace: Arc::new(trace),
    }
}

pub(crate) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Id of the order's OrderPlaced event.
pub(crate) fn event_id(order_id: OrderId) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, order_id.as_uuid().as_bytes())
}

pub(crate) fn captured() -> SagaEvent {
    SagaEvent::PaymentCaptured(CaptureId::new("cap_1"), total())
}

pub(crate) fn shipped(order: &Order) -> SagaEvent {
    SagaEvent::Shipped(ShipmentId::of(order.id))
}
