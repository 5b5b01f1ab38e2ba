//! The rows that the statements of an outbox read on PostgreSQL.

use std::sync::atomic::{AtomicUsize, Ordering};

use outbox::{OutboxRecord, Shard};
use sqlx::AssertSqlSafe;

use mock_kafka::eventually;
use mock_kafka::postgres::SharedDatabase;

use crate::records::{record, records};

/// Events in the table when it is full.
const FULL: i64 = 20_000;

/// Events of each use of a statement.
const USED: usize = 10;

/// A use may read some index entries for each of its events.
const FEW: i64 = 20 * USED as i64;

async fn execute(database: &SharedDatabase, statement: String) {
    // Safe: the statements are written in this file.
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    statement.execute(database.pool()).await.unwrap();
}

/// An outbox whose statistics are of one key and of no rows, and are not renewed.
async fn empty_when_vacuumed() -> SharedDatabase {
    let database = SharedDatabase::create().await.in_one_session();
    execute(
        &database,
        "ALTER TABLE outbox SET (autovacuum_enabled = false)".to_owned(),
    )
    .await;
    database.write(&records(1, 0..300)).await;
    execute(&database, "ANALYZE outbox".to_owned()).await;
    execute(&database, "DELETE FROM outbox".to_owned()).await;
    execute(&database, "VACUUM outbox".to_owned()).await;
    database
}

async fn fill(database: &SharedDatabase) {
    let fill = format!(
        "INSERT INTO outbox (shard, topic, key, headers, payload) \
         SELECT 0, 'events', 'other-' || n, '', '' FROM generate_series(1, {FULL}) AS n"
    );
    execute(database, fill).await;
}

/// Rows and index entries of the table that were read so far.
async fn read_so_far(database: &SharedDatabase) -> i64 {
    execute(database, "SELECT pg_stat_force_next_flush()".to_owned()).await;
    sqlx::query_scalar(
        "SELECT ((SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname = 'outbox') \
               + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'outbox'))::bigint",
    )
    .fetch_one(database.pool())
    .await
    .unwrap()
}

/// Events of keys that have no other.
fn fresh() -> Vec<OutboxRecord> {
    static USED_KEYS: AtomicUsize = AtomicUsize::new(1_000);
    let first = USED_KEYS.fetch_add(USED, Ordering::SeqCst);
    (first..first + USED).map(|key| record(key, 0)).collect()
}

/// Rows that each statement reads: insert, scan, read, backlog, delete.
async fn rows_read(database: &SharedDatabase) -> [i64; 5] {
    let outbox = database.outbox();
    let shards: Vec<Shard> = Shard::all().collect();
    let mut marks = [0; 6];

    marks[0] = read_so_far(database).await;
    database.write(&fresh()).await;
    marks[1] = read_so_far(database).await;
    let positions = outbox.positions(&shards, 0, USED as u32).await.unwrap();
    marks[2] = read_so_far(database).await;
    outbox.read(&positions).await.unwrap();
    marks[3] = read_so_far(database).await;
    outbox.backlog(USED as u64).await.unwrap();
    marks[4] = read_so_far(database).await;
    outbox.delete(&positions).await.unwrap();
    marks[5] = read_so_far(database).await;

    std::array::from_fn(|statement| marks[statement + 1] - marks[statement])
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_planned_while_the_outbox_was_empty_soon_read_few_rows_of_a_full_one() {
    let database = empty_when_vacuumed().await;
    // PostgreSQL keeps a plan from the sixth use on.
    for _ in 0..10 {
        rows_read(&database).await;
    }

    fill(&database).await;

    eventually("no statement reads the whole table", async || {
        let read = rows_read(&database).await;
        read.iter().all(|rows| *rows < FEW)
    })
    .await;
}
