//! The gauges are process-wide, hence one test for all their values.

use tempfile::TempDir;

use super::*;
use crate::retry_store::database::{self, MIGRATIONS};

use service::config::FromSetting;
use sql::database::Database;
use sql::sqlite::Sqlite;
use sql::url::DatabaseUrl;
use telemetry::testing::{gauge, record_spans};

/// Two events of one key, one of another, and one without an order to keep.
const INSERT: &str = "INSERT INTO retry_events (topic, partition, record_offset, record_timestamp, \
        ordering_key, headers, state, attempts, stored_at) \
    VALUES ('events', 0, 1, 1, x'0a', x'', 'DEAD', 1, 0), ('events', 0, 2, 2, x'0a', x'', 'WAITING', 0, 0), \
        ('events', 0, 3, 3, x'0b', x'', 'DEAD', 1, 0), ('events', 0, 4, 4, NULL, x'', 'DEAD', 1, 0)";

async fn open() -> (Arc<Sqlite>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/retry_store.db", directory.path().display());
    let url = DatabaseUrl::from_setting(&url).unwrap();
    let file = Sqlite::open(&url, &[MIGRATIONS]).await;
    (Arc::new(file.unwrap()), directory)
}

async fn execute(database: &Sqlite, statement: &'static str) {
    let mut transaction = database.begin().await.unwrap();
    let done = sqlx::query(statement).execute(&mut *transaction);
    done.await.unwrap();
    transaction.commit().await.unwrap();
}

fn shown() -> (Option<f64>, Option<f64>) {
    (
        gauge("retry_store.events"),
        gauge("retry_store.blocked_keys"),
    )
}

#[tokio::test]
async fn the_gauges_have_the_last_count_and_no_value_while_the_retry_store_cannot_be_read() {
    record_spans();
    let (database, _directory) = open().await;
    let operations = database::operations(&Database::Sqlite(Arc::clone(&database)));
    let watch = RetryStoreWatch::new(operations);
    assert_eq!(shown(), (None, None), "before the first query");

    watch.query().await;
    assert_eq!(shown(), (Some(0.0), Some(0.0)));

    execute(&database, INSERT).await;
    watch.query().await;
    assert_eq!(shown(), (Some(4.0), Some(2.0)));

    execute(&database, "ALTER TABLE retry_events RENAME TO away").await;
    watch.query().await;
    assert_eq!(shown(), (None, None), "while it cannot be read");

    execute(&database, "ALTER TABLE away RENAME TO retry_events").await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(watch.run(shutdown.clone()));
    while shown() != (Some(4.0), Some(2.0)) {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(shown(), (None, None), "after the end");
}
