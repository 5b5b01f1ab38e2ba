//! The gauges of the backlog. A process has one of each, so one test covers all their states.

use tempfile::TempDir;

use super::*;
use crate::sqlite::SqliteOutbox;
use service::config::FromSetting;
use sql::sqlite::Sqlite;
use sql::url::DatabaseUrl;
use telemetry::testing::{gauge, record_spans};

/// An event that was written 90 s ago.
const INSERT: &str = "INSERT INTO outbox (topic, key, headers, payload, created_at) \
    VALUES ('events', 'a', x'', x'', (unixepoch() - 90) * 1000)";

/// Longer than this test takes.
const A_WHILE: f64 = 300.0;

async fn database() -> (Arc<Sqlite>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/outbox.db", directory.path().display());
    let url = DatabaseUrl::from_setting(&url).unwrap();
    let file = Sqlite::open(&url, &[crate::database::MIGRATIONS]).await;
    (Arc::new(file.unwrap()), directory)
}

async fn execute(database: &Sqlite, statement: &'static str) {
    let mut transaction = database.begin().await.unwrap();
    let done = sqlx::query(statement).execute(&mut *transaction);
    done.await.unwrap();
    transaction.commit().await.unwrap();
}

fn shown() -> (Option<f64>, Option<f64>) {
    (gauge("outbox.rows"), gauge("outbox.oldest.age"))
}

#[tokio::test]
async fn the_gauges_show_the_last_poll_and_nothing_while_the_outbox_cannot_be_read() {
    record_spans();
    let (database, _directory) = database().await;
    let outbox = Arc::new(SqliteOutbox::new(Arc::clone(&database)));
    let watch = BacklogWatch::new(outbox, 2);
    assert_eq!(shown(), (None, None), "before the first poll");

    watch.poll().await;
    assert_eq!(shown(), (Some(0.0), Some(0.0)));

    for _ in 0..3 {
        execute(&database, INSERT).await;
    }
    watch.poll().await;
    let (rows, age) = shown();
    assert_eq!(rows, Some(2.0), "counted up to the bound");
    let age = age.unwrap();
    assert!((90.0..90.0 + A_WHILE).contains(&age), "{age} s");

    execute(&database, "ALTER TABLE outbox RENAME TO away").await;
    assert_eq!(watch.poll().await, None);
    assert_eq!(shown(), (None, None), "while it cannot be read");

    execute(&database, "ALTER TABLE away RENAME TO outbox").await;
    let shutdown = CancellationToken::new();
    let mut judged = Vec::new();
    let run = watch.run(shutdown.clone(), |backlog| {
        assert_eq!(gauge("outbox.rows"), Some(2.0));
        judged.push(backlog.rows);
        shutdown.cancel();
    });
    run.await;
    assert_eq!(judged, [2]);
    assert_eq!(shown(), (None, None), "after the watch has stopped");
}
