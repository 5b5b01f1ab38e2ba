//! Adds events: failed ones, and later events behind them.

use sqlx::{SqliteConnection, SqliteExecutor};

use super::now;
use crate::retry_store::KeyState;
use crate::retry_store::row::{Insertion, timestamp};
use sql::sqlite::Sqlite;

const IS_BLOCKED: &str = "
SELECT EXISTS (SELECT 1 FROM retry_events WHERE topic = $1 AND ordering_key = $2 AND state <> 'SKIPPED')";

const IS_KNOWN: &str = "
SELECT EXISTS (SELECT 1 FROM retry_events WHERE topic = $1 AND partition = $2
               AND record_offset = $3 AND record_timestamp = $4)";

const INSERT: &str = "
INSERT INTO retry_events (topic, partition, record_offset, record_timestamp, ordering_key, key, headers, payload,
                    fault_class, fault_message, attempts, first_failed_at, last_failed_at,
                    state, next_attempt_at, stored_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT DO NOTHING";

/// Adds an event; a follower only if its key is blocked.
pub(super) async fn add(
    database: &Sqlite,
    insertion: &Insertion<'_>,
) -> Result<KeyState, sqlx::Error> {
    // A free key must not cost the only write transaction.
    if insertion.only_behind && !is_blocked(database.reader(), insertion).await? {
        return state_of_free_key(database, insertion).await;
    }
    let mut transaction = database.begin().await?;
    let is_blocked = is_blocked(&mut *transaction, insertion).await?;
    if insertion.only_behind && !is_blocked {
        return state_of_free_key(database, insertion).await;
    }
    insert(&mut transaction, insertion, is_blocked).await?;
    transaction.commit().await?;
    Ok(KeyState::Blocked)
}

async fn is_blocked(
    connection: impl SqliteExecutor<'_>,
    insertion: &Insertion<'_>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(IS_BLOCKED)
        .bind(&insertion.record.topic)
        .bind(insertion.ordering_key)
        .fetch_one(connection)
        .await
}

/// The event of a free key may have been stored before and skipped: then it must not be handled.
async fn state_of_free_key(
    database: &Sqlite,
    insertion: &Insertion<'_>,
) -> Result<KeyState, sqlx::Error> {
    let record = insertion.record;
    let is_known = sqlx::query_scalar(IS_KNOWN)
        .bind(&record.topic)
        .bind(record.partition)
        .bind(record.offset)
        .bind(timestamp(record))
        .fetch_one(database.reader());
    Ok(if is_known.await? {
        KeyState::Blocked
    } else {
        KeyState::Free
    })
}

async fn insert(
    transaction: &mut SqliteConnection,
    insertion: &Insertion<'_>,
    is_blocked: bool,
) -> Result<(), sqlx::Error> {
    let Insertion {
        record,
        fault,
        state,
        ..
    } = insertion;
    sqlx::query(INSERT)
        .bind(&record.topic)
        .bind(record.partition)
        .bind(record.offset)
        .bind(timestamp(record))
        .bind(insertion.ordering_key)
        .bind(&record.key)
        .bind(&insertion.headers)
        .bind(&record.payload)
        .bind(fault.class)
        .bind(&fault.message)
        .bind(fault.attempts)
        .bind(fault.first_failed_at)
        .bind(fault.last_failed_at)
        .bind(state.name)
        // A row behind the head is not due.
        .bind(state.next_attempt(now()).filter(|_| !is_blocked))
        .bind(now())
        .execute(transaction)
        .await?;
    Ok(())
}
