//! The fixture of the unit tests: a store in its own file, with writers and watchers.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use kafka::record::Record;
use outbox::HandOver;
use proto::event::Event;
use proto::orders::v1::{Money, OrderLine, PlaceOrderRequest};
use proto::record::{self, EventMeta};
use service::config::FromSetting;
use sql::group_commit::GroupCommitConfig;
use sql::sqlite::Sqlite;
use sql::url::DatabaseUrl;
use telemetry::testing;
use telemetry::vocabulary::{Attribute, Metric};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::commit::Writers;
use crate::domain::{
    Availability, Currency, Money as Amount, Order, OrderId, OrderLine as Line, OrderLines,
    Quantity, Sku, Timestamp, UnitPrice,
};
use crate::events;
use crate::rpc::parse_place_order;
use crate::store::sqlite::SqliteStore;
use crate::store::{MIGRATIONS, OrderStore, PlaceOrder};
use crate::watchers::Watchers;

pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn OrderStore>,
    pub(crate) writers: Writers,
    pub(crate) watchers: Watchers,
    pub(crate) database: Arc<Sqlite>,
    _directory: TempDir,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_with(GroupCommitConfig::default()).await
    }

    pub(crate) async fn start_with(config: GroupCommitConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orders.db");
        let url = DatabaseUrl::from_setting(&format!("sqlite://{}", path.display())).unwrap();
        let database = Arc::new(Sqlite::open(&url, MIGRATIONS).await.unwrap());
        let store: Arc<dyn OrderStore> =
            Arc::new(SqliteStore::new(Arc::clone(&database), HandOver::default()));
        let watchers = Watchers::default();
        let writers = Writers::start(&store, &watchers, config, &TaskTracker::new());
        Self {
            store,
            writers,
            watchers,
            database,
            _directory: directory,
        }
    }

    /// Places an order.
    pub(crate) async fn placed(&self) -> OrderId {
        let command = place(&request());
        let order_id = command.order.id;
        self.store.place(&[command]).await.unwrap();
        order_id
    }
}

/// Lines of an order, by SKU and pieces.
pub(crate) fn lines(lines: &[(&str, i32)]) -> OrderLines {
    let price = Amount {
        currency: Currency::Gbp,
        minor_units: 255,
    };
    let line = |&(sku, pieces): &(&str, i32)| Line {
        sku: Sku::parse(sku).unwrap(),
        quantity: Quantity::parse(pieces).unwrap(),
        unit_price: UnitPrice::parse(price).unwrap(),
    };
    OrderLines::new(lines.iter().map(line).collect()).unwrap()
}

/// A valid request with a new request id.
pub(crate) fn request() -> PlaceOrderRequest {
    PlaceOrderRequest {
        request_id: Uuid::new_v4().to_string(),
        customer_id: "guest".to_owned(),
        lines: vec![OrderLine {
            sku: "85123A".to_owned(),
            quantity: 6,
            unit_price: Some(Money {
                currency_code: "GBP".to_owned(),
                minor_units: 255,
            }),
        }],
        payment_token: "tok_approved".to_owned(),
    }
}

/// The command of a request, with a new order id per call.
pub(crate) fn place(request: &PlaceOrderRequest) -> PlaceOrder {
    let request = parse_place_order(request.clone()).unwrap();
    let order_id = OrderId::new(Uuid::now_v7());
    let event_id = Uuid::now_v7();
    let order = Order::placed(
        order_id,
        &request,
        Availability::NotChecked,
        Timestamp::from_unix_millis(1_000),
    );
    PlaceOrder {
        request_id: request.request_id,
        fingerprint: request.fingerprint(),
        event_id,
        event: Arc::new(events::order_placed(
            &order,
            &request.payment_token,
            event_id,
        )),
        payment_token: request.payment_token,
        order,
    }
}

/// The sum of a counter, or the count of a histogram, under this label. Tests run concurrently and share the metrics: a test
/// reads labels that no other test uses, or a difference.
pub(crate) fn counted(metric: &Metric, attribute: &Attribute, value: &str) -> u64 {
    let points = testing::measured(metric.name, attribute.name, value);
    points.iter().map(|(_, count)| count).sum()
}

/// The record of an outcome, as consumed from the topic.
pub(crate) fn outcome(order_id: OrderId, sequence: u64, event: &impl Event) -> Record {
    let meta = EventMeta {
        id: Uuid::now_v7(),
        order_id: order_id.as_uuid(),
        sequence,
        time: UNIX_EPOCH + Duration::from_secs(2),
    };
    let encoded = record::encode(&meta, event, &[]);
    Record {
        key: Some(encoded.key),
        headers: encoded.headers.into(),
        payload: Some(encoded.payload),
        ..Record::default()
    }
}
