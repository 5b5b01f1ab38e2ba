//! Claims heads, and settles claims.

use std::time::Duration;

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{make_head_due, now};
use crate::retry_store::row::{FaultColumns, RetryEventRow, StateColumns, millis};
use crate::retry_store::{Fault, RetryState, Settlement};
use sql::sqlite::Sqlite;

const IS_ANY_DUE: &str = "
SELECT EXISTS (SELECT 1 FROM retry_events
               WHERE topic = $1 AND next_attempt_at <= $2 AND (claimed_until IS NULL OR claimed_until <= $2))";

/// Checks that a row is the head although only heads are due: order must not depend on `next_attempt_at`.
const CLAIM: &str = "
UPDATE retry_events SET claimed_by = $4, claimed_until = $2 + $5
WHERE id IN (
    SELECT id FROM retry_events AS head
    WHERE topic = $1 AND next_attempt_at <= $2 AND (claimed_until IS NULL OR claimed_until <= $2)
      AND NOT EXISTS (SELECT 1 FROM retry_events AS earlier
                      WHERE earlier.topic = head.topic AND earlier.ordering_key = head.ordering_key
                        AND earlier.state <> 'SKIPPED' AND earlier.id < head.id)
    ORDER BY next_attempt_at, id LIMIT $3
)
RETURNING id, topic, partition, record_offset, record_timestamp, key, headers, payload,
          fault_class, fault_message, attempts, first_failed_at, last_failed_at, rounds, redrives";

const REMOVE: &str = "
DELETE FROM retry_events WHERE id = $1 AND claimed_by = $2 RETURNING topic, ordering_key";

const STORE_AGAIN: &str = "
UPDATE retry_events
SET state = $3, next_attempt_at = $4, rounds = rounds + 1,
    fault_class = $5, fault_message = $6, attempts = $7, first_failed_at = $8, last_failed_at = $9,
    claimed_by = NULL, claimed_until = NULL
WHERE id = $1 AND claimed_by = $2";

const RELEASE: &str = "
UPDATE retry_events SET claimed_by = NULL, claimed_until = NULL WHERE id = $1 AND claimed_by = $2";

pub(super) async fn claim(
    database: &Sqlite,
    topic: &str,
    claimant: Uuid,
    limit: u32,
    term: Duration,
) -> Result<Vec<RetryEventRow>, sqlx::Error> {
    // Sweepers poll every second: an empty poll must not cost the only write transaction.
    let is_any_due = sqlx::query_scalar(IS_ANY_DUE)
        .bind(topic)
        .bind(now())
        .fetch_one(database.reader());
    if !is_any_due.await? {
        return Ok(Vec::new());
    }
    let mut transaction = database.begin().await?;
    let rows = sqlx::query_as(CLAIM)
        .bind(topic)
        .bind(now())
        .bind(limit)
        .bind(claimant)
        .bind(millis(term))
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(rows)
}

pub(super) async fn settle(
    database: &Sqlite,
    id: i64,
    claimant: Uuid,
    settlement: &Settlement,
) -> Result<(), sqlx::Error> {
    let mut transaction = database.begin().await?;
    match settlement {
        Settlement::Handled => remove(&mut transaction, id, claimant).await?,
        Settlement::Failed(fault, state) => {
            store_again(&mut transaction, id, claimant, fault, *state).await?;
        }
        Settlement::Released => release(&mut transaction, id, claimant).await?,
    }
    transaction.commit().await
}

async fn remove(
    transaction: &mut SqliteConnection,
    id: i64,
    claimant: Uuid,
) -> Result<(), sqlx::Error> {
    let removed: Option<(String, Option<Vec<u8>>)> = sqlx::query_as(REMOVE)
        .bind(id)
        .bind(claimant)
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some((topic, Some(ordering_key))) = removed {
        make_head_due(transaction, &topic, &ordering_key).await?;
    }
    Ok(())
}

async fn store_again(
    transaction: &mut SqliteConnection,
    id: i64,
    claimant: Uuid,
    fault: &Fault,
    state: RetryState,
) -> Result<(), sqlx::Error> {
    let fault = FaultColumns::from(fault);
    let state = StateColumns::from(state);
    sqlx::query(STORE_AGAIN)
        .bind(id)
        .bind(claimant)
        .bind(state.name)
        .bind(state.next_attempt(now()))
        .bind(fault.class)
        .bind(fault.message)
        .bind(fault.attempts)
        .bind(fault.first_failed_at)
        .bind(fault.last_failed_at)
        .execute(transaction)
        .await?;
    Ok(())
}

async fn release(
    transaction: &mut SqliteConnection,
    id: i64,
    claimant: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query(RELEASE)
        .bind(id)
        .bind(claimant)
        .execute(transaction)
        .await?;
    Ok(())
}
