//! Pitfall: an event without a duplicate check.
//!
//! A broker delivers at least once. A consumer that dies after the effect and before the commit of its offset gets the event
//! again, and nothing in the event says so. An effect that is not idempotent, such as an addition, is then made twice.
//!
//! The right way is a row with the id of the event in the transaction of the effect: either both are committed or none. In
//! this system: `crates/consumer/src/inbox.rs`. An inbox outside of that transaction only moves the gap.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use consumer::inbox::{InboxEntry, sqlite::accept};
use consumer::{Delivery, Failure, Handler};
use kafka::record::Record;
use service::config::FromSetting as _;
use sql::sqlite::{Sqlite, WriteTransaction};
use sql::url::DatabaseUrl;
use uuid::Uuid;

/// WRONG: no check. Credits 10 for each delivery.
struct Unchecked(Sqlite);

#[async_trait]
impl Handler for Unchecked {
    async fn handle(&self, _: &Delivery) -> Result<(), Failure> {
        let mut transaction = self.0.begin().await.map_err(Failure::retry)?;
        credit(&mut transaction).await.map_err(Failure::retry)?;
        transaction.commit().await.map_err(Failure::retry)
    }
}

/// WRONG TOO: a check that does not belong to the transaction. A crash between the two loses the credit.
struct CheckedBefore(Sqlite, Mutex<HashSet<Uuid>>);

#[async_trait]
impl Handler for CheckedBefore {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        if !self.1.lock().unwrap().insert(event_id(delivery)) {
            return Ok(());
        }
        let mut transaction = self.0.begin().await.map_err(Failure::retry)?;
        credit(&mut transaction).await.map_err(Failure::retry)?;
        if delivery.attempt() == 1 {
            return Err(Failure::retry("the database went away before the commit"));
        }
        transaction.commit().await.map_err(Failure::retry)
    }
}

/// RIGHT: the inbox row and the credit are one transaction. Fails like the one before.
struct WithInbox(Sqlite);

#[async_trait]
impl Handler for WithInbox {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        let (event_id, key, sequence) = (event_id(delivery), Uuid::nil(), 1);
        let entry = InboxEntry {
            event_id,
            key,
            sequence,
        };
        let mut transaction = self.0.begin().await.map_err(Failure::retry)?;
        let new = accept(&mut transaction, &[entry])
            .await
            .map_err(Failure::retry)?;
        if new.is_empty() {
            return Ok(());
        }
        credit(&mut transaction).await.map_err(Failure::retry)?;
        if delivery.attempt() == 1 {
            return Err(Failure::retry("the database went away before the commit"));
        }
        transaction.commit().await.map_err(Failure::retry)
    }
}

async fn credit(transaction: &mut WriteTransaction) -> Result<(), sqlx::Error> {
    let credit = sqlx::query("UPDATE account SET balance = balance + 10");
    credit.execute(&mut **transaction).await.map(drop)
}

fn event_id(delivery: &Delivery) -> Uuid {
    Uuid::parse_str(delivery.headers.text("ce_id").unwrap()).unwrap()
}

async fn account(directory: &tempfile::TempDir) -> Sqlite {
    let url = format!("sqlite://{}/account.db", directory.path().display());
    let url = DatabaseUrl::from_setting(&url).unwrap();
    let database = Sqlite::open(&url, &[consumer::MIGRATIONS]).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    let table = sqlx::query("CREATE TABLE account AS SELECT 0 AS balance");
    table.execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    database
}

/// Delivers one event three times, as after a failed attempt and after a crash before the offset was committed.
async fn deliver_repeatedly(handler: &dyn Handler) {
    let id = Uuid::new_v4().to_string().into_bytes();
    let record = Record {
        headers: vec![(b"ce_id".to_vec(), Some(id))].into(),
        ..Record::default()
    };
    for attempt in [1, 2, 2] {
        let delivery = Delivery::new(record.clone(), attempt, Vec::new());
        // A failure is retried: by the next delivery.
        let _ = handler.handle(&delivery).await;
    }
}

async fn balance(database: &Sqlite) -> i64 {
    let balance = sqlx::query_scalar("SELECT balance FROM account");
    balance.fetch_one(database.reader()).await.unwrap()
}

#[tokio::test]
async fn without_a_check_every_delivery_is_a_credit() {
    let directory = tempfile::tempdir().unwrap();
    let handler = Unchecked(account(&directory).await);

    deliver_repeatedly(&handler).await;

    assert_eq!(balance(&handler.0).await, 30);
}

#[tokio::test]
async fn a_check_outside_of_the_transaction_loses_the_credit() {
    let directory = tempfile::tempdir().unwrap();
    let handler = CheckedBefore(account(&directory).await, Mutex::default());

    deliver_repeatedly(&handler).await;

    assert_eq!(balance(&handler.0).await, 0);
}

#[tokio::test]
async fn with_the_inbox_in_the_transaction_there_is_one_credit() {
    let directory = tempfile::tempdir().unwrap();
    let handler = WithInbox(account(&directory).await);

    deliver_repeatedly(&handler).await;

    assert_eq!(balance(&handler.0).await, 10);
}
