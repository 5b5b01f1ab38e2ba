//! The command on a real store.

use std::sync::Arc;

use async_trait::async_trait;
use outbox::HandOver;
use sql::sqlite::Sqlite;

use super::*;
use crate::domain::EventType;
use crate::fixture::Fixture;
use crate::store::sqlite::SqliteStore;

fn parsed(arguments: &[&str]) -> Result<Command, clap::Error> {
    let parsed = Orders::try_parse_from([&["orders"], arguments].concat());
    parsed.map(|orders| orders.command)
}

async fn run(fixture: &Fixture, arguments: &[&str]) -> (String, Result<(), OrdersError>) {
    let store = SqliteStore::new(Arc::clone(&fixture.database), HandOver::default());
    let mut output = Vec::new();
    let done = execute(&parsed(arguments).unwrap(), &store, &mut output).await;
    (String::from_utf8(output).unwrap(), done)
}

#[tokio::test]
async fn open_orders_are_published_by_age_and_audited_with_their_operator() {
    let fixture = Fixture::start().await;
    // Placed in 1970.
    let (one, two) = (fixture.placed().await, fixture.placed().await);

    let (dry, done) = run(&fixture, &["republish", "--open-for", "60m", "--dry-run"]).await;
    done.unwrap();
    assert!(dry.contains("would publish 2 of 2 orders"), "{dry}");
    let (audit, _) = run(&fixture, &["audit"]).await;
    assert_eq!(audit, "");

    let actor = ["--actor", "ada", "--per-second", "1000000"];
    let all = [&["republish", "--open-for", "60m"][..], &actor].concat();
    let (output, done) = run(&fixture, &all).await;
    done.unwrap();
    for order_id in [one, two] {
        let line = format!("published {order_id}: OrderPlaced");
        assert!(output.contains(&line), "{output}");
    }
    let (audit, _) = run(&fixture, &["audit"]).await;
    assert_eq!(audit.lines().count(), 2);
    let latest = audit.lines().next().unwrap();
    assert!(
        latest.ends_with(&format!("ada  republish  {two}  OrderPlaced")),
        "{latest}"
    );
}

/// Ends each order between the list and its publication.
#[derive(Debug)]
struct EndsFirst {
    database: Arc<Sqlite>,
    store: SqliteStore,
}

#[async_trait]
impl OpenOrders for EndsFirst {
    async fn oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.oldest().await
    }

    async fn list(
        &self,
        placed_before: Timestamp,
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<OrderId>, StoreError> {
        self.store.list(placed_before, after, limit).await
    }

    async fn republish(
        &self,
        order_id: OrderId,
        publication: Publication<'_>,
    ) -> Result<Result<Vec<EventType>, NotRepublished>, StoreError> {
        let statement = "UPDATE orders SET status = 'FULFILLED'";
        let mut transaction = self.database.begin().await.unwrap();
        sqlx::query(statement)
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        self.store.republish(order_id, publication).await
    }

    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.store.audit(limit).await
    }
}

#[tokio::test]
async fn an_order_that_ends_while_open_ones_are_published_is_no_failure() {
    let fixture = Fixture::start().await;
    let order_id = fixture.placed().await;
    let store = EndsFirst {
        database: Arc::clone(&fixture.database),
        store: SqliteStore::new(Arc::clone(&fixture.database), HandOver::default()),
    };
    let mut output = Vec::new();

    let all = parsed(&["republish", "--open-for", "0s", "--actor", "ada"]).unwrap();
    execute(&all, &store, &mut output).await.unwrap();
    let one = ["republish", &order_id.to_string(), "--actor", "ada"];
    let one = execute(&parsed(&one).unwrap(), &store, &mut output).await;

    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("published 0 of 1 orders"), "{output}");
    assert!(output.contains("is final: FULFILLED"), "{output}");
    assert!(matches!(one, Err(OrdersError::SomeRefused { .. })));
}

/// SQLite has one writer, and the service needs it.
#[tokio::test]
async fn a_dry_run_does_not_wait_for_the_writer() {
    let fixture = Fixture::start().await;
    fixture.placed().await;
    let writing = fixture.database.begin().await.unwrap();

    let (output, done) = run(&fixture, &["republish", "--open-for", "0s", "--dry-run"]).await;

    done.unwrap();
    assert!(output.contains("would publish 1 of 1 orders"), "{output}");
    drop(writing);
}

#[tokio::test]
async fn an_unknown_order_is_refused_by_its_id() {
    let fixture = Fixture::start().await;
    let unknown = "0197d1c2-0000-7000-8000-000000000001";

    let (output, done) = run(&fixture, &["republish", unknown]).await;

    assert!(
        output.contains(&format!("there is no order {unknown}")),
        "{output}"
    );
    assert_eq!(done.unwrap_err().to_string(), "1 of 1 were refused");
}

#[test]
fn wrong_usage_is_refused() {
    for wrong in [
        &[][..],
        &["delete"],
        &["republish"],
        &["republish", "first"],
        &["republish", "--open-for", "long"],
        &[
            "republish",
            "0197d1c2-0000-7000-8000-000000000001",
            "--open-for",
            "60m",
        ],
        &["republish", "--open-for", "60m", "--per-second", "0"],
        &["republish", "--open-for", "60m", "--actor", "a\nb"],
        &["audit", "--limit", "0"],
    ] {
        let refused = parsed(wrong).is_err_and(|error| error.use_stderr());
        assert!(refused, "{wrong:?}");
    }
}
