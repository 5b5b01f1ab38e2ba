//! Adds events: failed ones, and later events behind them.

use sqlx::{FromRow, PgPool};

use crate::retry_store::KeyState;
use crate::retry_store::row::{Insertion, timestamp};
use sql::postgres::retry_conflicts;

/// `head` is locked until the row is committed: a transaction that removes the head waits, and then sees the row. A head that
/// was removed while this statement waited for its lock is missing in `head`, but not in `any_row`: then nothing is inserted
/// and the caller repeats the statement. A row behind the head is not due.
const ADD: &str = "
WITH head AS (
    SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $5 AND state <> 'SKIPPED'
    ORDER BY id LIMIT 1 FOR SHARE
), any_row AS (
    SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $5 AND state <> 'SKIPPED' LIMIT 1
), added AS (
    INSERT INTO retry_events (topic, partition, record_offset, record_timestamp, ordering_key, key, headers, payload,
                        fault_class, fault_message, attempts, first_failed_at, last_failed_at,
                        state, next_attempt_at, stored_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
           CASE WHEN $14 = 'WAITING' AND NOT EXISTS (SELECT FROM head) THEN unix_millis() + $15 END,
           unix_millis()
    WHERE EXISTS (SELECT FROM head) OR NOT ($16 OR EXISTS (SELECT FROM any_row))
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM head) AS held,
       EXISTS (SELECT FROM any_row) AS blocked,
       EXISTS (SELECT FROM retry_events WHERE topic = $1 AND partition = $2
               AND record_offset = $3 AND record_timestamp = $4) AS known";

#[derive(FromRow)]
struct Added {
    /// The head of the key is there and locked.
    held: bool,
    /// The key was blocked when the statement began.
    blocked: bool,
    /// The record was stored when the statement began.
    known: bool,
}

/// Adds an event; a follower only if its key is blocked.
pub(super) async fn add(pool: &PgPool, insertion: &Insertion<'_>) -> Result<KeyState, sqlx::Error> {
    loop {
        let added = retry_conflicts(|| try_to_add(pool, insertion)).await?;
        // Repeated only after another transaction has removed a head.
        if added.blocked && !added.held {
            continue;
        }
        let is_stored = added.held || added.known || !insertion.only_behind;
        return Ok(if is_stored {
            KeyState::Blocked
        } else {
            KeyState::Free
        });
    }
}

async fn try_to_add(pool: &PgPool, insertion: &Insertion<'_>) -> Result<Added, sqlx::Error> {
    let Insertion {
        record,
        ordering_key,
        headers,
        fault,
        state,
        only_behind,
    } = insertion;
    sqlx::query_as(ADD)
        .bind(&record.topic)
        .bind(record.partition)
        .bind(record.offset)
        .bind(timestamp(record))
        .bind(ordering_key)
        .bind(&record.key)
        .bind(headers)
        .bind(&record.payload)
        .bind(fault.class)
        .bind(&fault.message)
        .bind(fault.attempts)
        .bind(fault.first_failed_at)
        .bind(fault.last_failed_at)
        .bind(state.name)
        .bind(state.retry_after)
        .bind(only_behind)
        .fetch_one(pool)
        .await
}
