//! The databases, created by the migrations of the services and of their crates.

use std::path::{Path, PathBuf};

use prost::Message as _;
use proto::orders::v1::{Money, Order, OrderLine, OrderPlaced};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};

use super::history::{STORIES, Story, id};

pub(super) fn orders(folder: &Path) -> PathBuf {
    folder.join("order-service.db")
}

pub(super) fn processing(folder: &Path) -> PathBuf {
    folder.join("processing-service.db")
}

pub(super) async fn create(folder: &Path) {
    for (path, service) in [
        (orders(folder), "order-service"),
        (processing(folder), "processing-service"),
    ] {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            // Durability is not needed in a test.
            .synchronous(SqliteSynchronous::Off);
        let mut connection = options.connect().await.unwrap();
        for migration in migrations(service) {
            sqlx::raw_sql(AssertSqlSafe(migration))
                .execute(&mut connection)
                .await
                .unwrap();
        }
        sqlx::query("INSERT INTO installation VALUES (1, ?, '')")
            .bind(service)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let mut sql = String::from(
        "DROP TRIGGER order_events_are_not_changed;
         DROP TRIGGER order_events_are_not_deleted;
         INSERT INTO processing.stock VALUES ('85123A', 'HOLDER', 100, 97, 0, 3);",
    );
    for story in &STORIES {
        sql += &rows_of_order_service(story);
        sql += &rows_of_processing(story);
    }
    run(folder, sql).await;
}

fn migrations(service: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut texts = Vec::new();
    for owner in ["crates/sql", "crates/outbox", "crates/consumer", service] {
        let files = std::fs::read_dir(root.join(owner).join("migrations/sqlite")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        texts.extend(
            files
                .iter()
                .map(|file| std::fs::read_to_string(file).unwrap()),
        );
    }
    texts
}

pub(super) async fn change(folder: &Path, sql: &'static str) {
    run(folder, sql.to_owned()).await;
}

async fn run(folder: &Path, sql: String) {
    let mut connection = connect(folder).await;
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
}

/// A connection without constraints: the audit must also detect violations that constraints prevent.
async fn connect(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(orders(folder))
        .synchronous(SqliteSynchronous::Off)
        .foreign_keys(false);
    let mut connection = options.connect().await.unwrap();
    sqlx::query("ATTACH DATABASE ? AS processing")
        .bind(processing(folder).to_str().unwrap().to_owned())
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql("PRAGMA ignore_check_constraints = ON")
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

fn rows_of_order_service(story: &Story) -> String {
    let (version, last) = story.last();
    let (order, request) = (blob('0', story.digit), blob('f', story.digit));
    let (status, reason) = (last.status, text(story.reason));
    let outcomes = story.outcomes().count();
    let body = hex(&body().encode_to_vec());
    let mut sql = format!(
        "INSERT INTO orders (order_id, customer_id, request_id, fingerprint, status, version, processing_sequence, body,
             rejection_reason, created_at, updated_at)
         VALUES ({order}, '17850', {request}, zeroblob(32), '{status}', {version}, {outcomes}, x'{body}', {reason}, 0, 0);"
    );
    let mut sequence = 0;
    for (index, entry) in story.entries.iter().enumerate() {
        let event = blob(entry.kind, story.digit);
        let reason = text((entry.event == "OrderRejected").then_some("PAYMENT_DECLINED"));
        sql += &format!(
            "INSERT INTO order_events (order_id, version, event_id, event_type, status, rejection_reason, occurred_at)
             VALUES ({order}, {}, {event}, '{}', '{}', {reason}, 0);",
            index + 1,
            entry.event,
            entry.status,
        );
        if entry.is_outcome() {
            sequence += 1;
            sql += &format!("INSERT INTO inbox VALUES ({event}, {order}, {sequence}, 0);");
        }
    }
    sql
}

fn rows_of_processing(story: &Story) -> String {
    let (_, last) = story.last();
    let (order, reason) = (blob('0', story.digit), text(story.reason));
    let lines = hex(&saga().encode_to_vec());
    let next = story.outcomes().count() + 1;
    let mut sql = format!(
        "INSERT INTO processing.sagas VALUES ({order}, '{}', {reason}, {next}, x'{lines}', 0);",
        last.status
    );
    let consumed = story.entries.iter().filter(|entry| !entry.is_outcome());
    for (index, entry) in consumed.enumerate() {
        let event = blob(entry.kind, story.digit);
        let sequence = index + 1;
        sql += &format!("INSERT INTO processing.inbox VALUES ({event}, {order}, {sequence}, 0);");
    }
    if let Some(state) = story.payment {
        sql += &format!(
            "INSERT INTO processing.payments VALUES ({order}, 'capture', '{state}', 'GBP', 765, 0);"
        );
    }
    if last.status == "FULFILLED" {
        sql += &format!("INSERT INTO processing.shipments VALUES ({order}, 'shipment', 0);");
    }
    sql
}

fn blob(kind: char, digit: char) -> String {
    format!("x'{}'", id(kind, digit).replace('-', ""))
}

fn text(value: Option<&str>) -> String {
    value.map_or("NULL".to_owned(), |value| format!("'{value}'"))
}

/// Two lines with the same SKU, as in real invoices.
fn body() -> Order {
    Order {
        lines: lines(),
        total: Some(pounds(765)),
        ..Order::default()
    }
}

/// processing-service sums the pieces per SKU.
fn saga() -> OrderPlaced {
    OrderPlaced {
        lines: vec![line(3)],
        ..OrderPlaced::default()
    }
}

pub(super) fn lines() -> Vec<OrderLine> {
    vec![line(2), line(1)]
}

fn line(quantity: i32) -> OrderLine {
    OrderLine {
        sku: "85123A".into(),
        quantity,
        unit_price: Some(pounds(255)),
    }
}

pub(super) fn pounds(minor_units: i64) -> Money {
    Money {
        currency_code: "GBP".into(),
        minor_units,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
