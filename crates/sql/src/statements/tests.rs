//! The telemetry of a query, with spans and metrics kept in memory.

use opentelemetry::trace::Status;
use opentelemetry::{Context, Value};
use opentelemetry_sdk::trace::SpanData;
use sqlx::sqlite::SqlitePool;
use std::str::FromStr;

use super::*;
use telemetry::testing::{record_spans, spans_of};
use telemetry::vocabulary::Attribute;

mod durations;

/// Wraps the driver error, as a store does.
#[derive(Debug, thiserror::Error)]
#[error("the store")]
struct StoreError(#[from] sqlx::Error);

const INSERT: Query = Query::on("INSERT things");

fn value(span: &SpanData, attribute: Attribute) -> Option<Value> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|found| found.key.as_str() == attribute.name)?;
    Some(found.value.clone())
}

/// Runs a SQLite statement for a batch of `commands` and returns its span.
async fn observed(sql: &'static str, commands: usize) -> SpanData {
    record_spans();
    let call = spans::RPC_SERVER.continuing("call", &Context::new(), Vec::new());
    let options = SqliteConnectOptions::from_str("sqlite:///some/where/things.db").unwrap();
    let statement = Statements::of_sqlite(&options).prepare(INSERT);
    let database = SqlitePool::connect("sqlite::memory:").await.unwrap();
    let query = async {
        let done = sqlx::query(sql).execute(&database).await;
        done.map_err(StoreError::from)
    };

    let _ = call.carry(statement.run_batch(commands, query)).await;

    let call = call.span_context();
    let mut spans = spans_of(call.trace_id()).into_iter();
    let span = spans.find(|span| span.parent_span_id == call.span_id());
    span.unwrap()
}

#[tokio::test]
async fn a_query_is_named_by_its_summary_and_by_nothing_that_varies() {
    let span = observed("SELECT 1", 2).await;

    assert_eq!(span.name, "INSERT things");
    assert_eq!(span.status, Status::Unset);
    let text = |attribute| value(&span, attribute).map(|value| value.to_string());
    assert_eq!(text(attributes::DB_SYSTEM_NAME).unwrap(), "sqlite");
    assert_eq!(text(attributes::DB_NAMESPACE).unwrap(), "things.db");
    assert_eq!(text(attributes::DB_OPERATION_NAME).unwrap(), "INSERT");
    assert_eq!(text(attributes::DB_OPERATION_BATCH_SIZE).unwrap(), "2");
    assert_eq!(text(attributes::ERROR_TYPE), None);
}

#[tokio::test]
async fn a_single_command_has_no_batch_size() {
    let span = observed("SELECT 1", 1).await;

    assert_eq!(value(&span, attributes::DB_OPERATION_BATCH_SIZE), None);
}

#[tokio::test]
async fn a_query_that_the_database_rejects_fails_with_its_code() {
    let span = observed("INSERT INTO nowhere VALUES (1)", 1).await;

    let code = Some(Value::from("1"));
    assert_eq!(value(&span, attributes::ERROR_TYPE), code);
    assert_eq!(value(&span, attributes::DB_RESPONSE_STATUS_CODE), code);
    assert_eq!(span.status, Status::error(""));
}

#[test]
fn a_server_is_named_without_user_and_password() {
    let url = "postgres://user:secret@db.example:6432/orders?options=-c%20search_path%3Dshop";
    let options = PgConnectOptions::from_str(url).unwrap();

    let labels = format!(
        "{:?}",
        Statements::of_postgres(&options, Sessions::default()).database
    );

    for known in ["orders|shop", "db.example", "6432"] {
        assert!(labels.contains(known), "{labels}");
    }
    assert!(!labels.contains("secret"));
}
