//! Pitfall: success shown before acceptance.
//!
//! A service that answers "accepted" and writes the order afterwards is fast, and lies whenever it dies in between: the customer
//! holds a confirmation of an order that does not exist, and nobody will ever retry it.
//!
//! The right way is to answer when the commit is durable. Whoever got no answer retries with the same request id. In this
//! system: `order-service/src/rpc/place_order.rs` answers after the group commit (`crates/sql/src/group_commit.rs`), and the
//! system test `nothing_is_lost_or_doubled_when_order_service_is_killed` kills it in between.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;

use futures::poll;
use service::config::FromSetting as _;
use sql::sqlite::Sqlite;
use sql::url::DatabaseUrl;
use tokio::task::{JoinSet, yield_now};

#[derive(Debug, PartialEq, Eq)]
struct Accepted;

/// A process of the shop. Dropping it is a crash: its tasks end wherever they are.
struct Shop {
    orders: Arc<Sqlite>,
    background: JoinSet<()>,
}

impl Shop {
    /// WRONG: answers now, and writes the order in the background.
    fn place_in_the_background(&mut self, order: &'static str) -> Accepted {
        let orders = Arc::clone(&self.orders);
        self.background.spawn(async move {
            insert(&orders, order).await.unwrap();
        });
        Accepted
    }

    /// RIGHT: answers when the order is durable.
    async fn place(&self, order: &'static str) -> Result<Accepted, sqlx::Error> {
        insert(&self.orders, order).await?;
        Ok(Accepted)
    }
}

/// Inserting an order again is no second order: its name is the request id.
async fn insert(orders: &Sqlite, order: &str) -> Result<(), sqlx::Error> {
    let mut transaction = orders.begin().await?;
    let insert = sqlx::query("INSERT INTO orders VALUES ($1) ON CONFLICT DO NOTHING");
    insert.bind(order).execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn database(directory: &tempfile::TempDir) -> Arc<Sqlite> {
    let url = format!("sqlite://{}/orders.db", directory.path().display());
    let url = DatabaseUrl::from_setting(&url).unwrap();
    let database = Sqlite::open(&url, &[]).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    let table = sqlx::query("CREATE TABLE orders (request_id TEXT PRIMARY KEY)");
    table.execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    Arc::new(database)
}

fn start(orders: &Arc<Sqlite>) -> Shop {
    Shop {
        orders: Arc::clone(orders),
        background: JoinSet::new(),
    }
}

async fn saved(orders: &Sqlite) -> Vec<String> {
    let orders = sqlx::query_scalar("SELECT request_id FROM orders").fetch_all(orders.reader());
    orders.await.unwrap()
}

#[tokio::test]
async fn an_order_that_is_confirmed_before_its_commit_vanishes_in_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let orders = database(&directory).await;
    let mut shop = start(&orders);
    // The database is busy with another transaction for a moment: there always is one.
    let busy = orders.begin().await.unwrap();

    let answer = shop.place_in_the_background("order-1");
    yield_now().await; // The task begins, and waits for the database.
    shop.background.shutdown().await; // The crash.
    drop((shop, busy));

    assert_eq!(answer, Accepted);
    assert!(
        saved(&orders).await.is_empty(),
        "the confirmed order exists"
    );
}

#[tokio::test]
async fn an_order_that_is_confirmed_after_its_commit_survives_the_crash() {
    let directory = tempfile::tempdir().unwrap();
    let orders = database(&directory).await;
    let shop = start(&orders);
    let busy = orders.begin().await.unwrap();

    {
        let mut call = Box::pin(shop.place("order-1"));
        assert!(poll!(&mut call).is_pending(), "confirmed before the commit");
    }
    drop((shop, busy)); // The crash: there was no answer, so the client retries at the restarted shop.
    let shop = start(&orders);
    let answer = shop.place("order-1").await.unwrap();
    drop(shop); // Another crash, right after the answer.

    assert_eq!(answer, Accepted);
    assert_eq!(saved(&orders).await, ["order-1"]);
}
