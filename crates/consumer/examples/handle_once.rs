//! A handler with an inbox: its effect and the inbox row are one transaction, so a second delivery is a no-op.
//!
//! A service passes it to `consumer::Consumer::new` with the retry store of the same database
//! (`consumer::retry_store::database::retry_store`). Run with `cargo run -p consumer --example handle_once`.

use async_trait::async_trait;
use consumer::inbox::{InboxEntry, sqlite::accept};
use consumer::{BoxError, Delivery, Failure, Handler};
use kafka::record::Record;
use service::config::FromSetting;
use sql::{sqlite::Sqlite, url::DatabaseUrl};
use uuid::Uuid;

struct Deposits(Sqlite);

#[async_trait]
impl Handler for Deposits {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        // Without an id the event can never be handled; a database error can pass.
        let id = delivery.headers.text("ce_id").unwrap_or_default();
        let event_id = Uuid::parse_str(id).map_err(Failure::reject)?;
        self.deposit(event_id).await.map_err(Failure::retry)
    }
}

impl Deposits {
    async fn deposit(&self, event_id: Uuid) -> Result<(), sqlx::Error> {
        let (key, sequence) = (Uuid::nil(), 1);
        let event = InboxEntry {
            event_id,
            key,
            sequence,
        };
        let mut transaction = self.0.begin().await?;
        if accept(&mut transaction, &[event]).await?.is_empty() {
            return Ok(()); // Handled before; the transaction is rolled back.
        }
        let deposit = sqlx::query("UPDATE account SET balance = balance + 10");
        deposit.execute(&mut *transaction).await?;
        transaction.commit().await
    }
}

/// Delivers one event twice; returns the balance.
pub(crate) async fn run() -> Result<i64, BoxError> {
    let directory = tempfile::tempdir()?;
    let url = format!("sqlite://{}/deposits.db", directory.path().display());
    let database = Sqlite::open(&DatabaseUrl::from_setting(&url)?, &[consumer::MIGRATIONS]).await?;
    let mut transaction = database.begin().await?;
    let table = sqlx::query("CREATE TABLE account AS SELECT 0 AS balance");
    table.execute(&mut *transaction).await?;
    transaction.commit().await?;

    let deposits = Deposits(database);
    let id = Uuid::new_v4().to_string().into_bytes();
    let record = Record {
        headers: vec![(b"ce_id".to_vec(), Some(id))].into(),
        ..Record::default()
    };
    for attempt in 1..=2 {
        let delivery = Delivery::new(record.clone(), attempt, Vec::new());
        deposits.handle(&delivery).await?;
    }
    let balance = sqlx::query_scalar("SELECT balance FROM account");
    Ok(balance.fetch_one(deposits.0.reader()).await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    println!("balance after two deliveries: {}", run().await?);
    Ok(())
}
