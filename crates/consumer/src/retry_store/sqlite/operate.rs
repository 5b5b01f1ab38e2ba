//! The operations of an operator: queries, and changes of a dead head with their audit row.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{SqliteRetryStore, make_head_due, now};
use crate::retry_store::RetryStoreError;
use crate::retry_store::operations::{
    AuditEntry, COUNT, Candidate, Filter, Listing, MAX_COUNTED_BEHIND, OperationError, Operations,
    OperatorAction, OperatorRefusal, OperatorRow, RetryEvent, RetryStoreCount,
};
use sql::sqlite::Sqlite;

/// `$1` selects one event, then with its payload. The rows behind it are counted up to `$8`.
const SELECT: &str = "
SELECT id, topic, partition, record_offset, record_timestamp, key, headers,
       CASE WHEN $1 IS NOT NULL THEN payload END AS payload,
       fault_class, fault_message, attempts, first_failed_at, last_failed_at, rounds, redrives,
       state, stored_at, next_attempt_at, $9 - stored_at AS age,
       CASE WHEN state <> 'SKIPPED' THEN
           (SELECT head.id FROM retry_events AS head
            WHERE head.topic = retry_events.topic AND head.ordering_key = retry_events.ordering_key
              AND head.state <> 'SKIPPED' ORDER BY head.id LIMIT 1) END AS head,
       (SELECT count(*) FROM
           (SELECT 1 FROM retry_events AS other
            WHERE other.topic = retry_events.topic AND other.ordering_key = retry_events.ordering_key
              AND other.state <> 'SKIPPED' AND other.id > retry_events.id AND retry_events.state <> 'SKIPPED'
            LIMIT $8) AS others) AS behind
FROM retry_events
WHERE ($1 IS NULL OR id = $1) AND id > $2
  AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR fault_class = $4)
  AND ($5 IS NULL OR key = $5)
  AND NOT ($6 AND EXISTS (SELECT 1 FROM retry_events AS earlier
                          WHERE earlier.topic = retry_events.topic AND earlier.ordering_key = retry_events.ordering_key
                            AND earlier.state <> 'SKIPPED' AND earlier.id < retry_events.id))
ORDER BY id LIMIT $7";

const CANDIDATE: &str = "
SELECT id, topic, partition, record_offset, key, ordering_key, state, fault_class, fault_message, redrives
FROM retry_events WHERE id = $1";

const HEAD: &str = "
SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $2 AND state <> 'SKIPPED' ORDER BY id LIMIT 1";

const REDRIVE: &str = "
UPDATE retry_events SET state = 'WAITING', next_attempt_at = $2, rounds = 0, redrives = redrives + 1,
                  claimed_by = NULL, claimed_until = NULL
WHERE id = $1";

const SKIP: &str = "
UPDATE retry_events SET state = 'SKIPPED', claimed_by = NULL, claimed_until = NULL WHERE id = $1";

const WRITE_AUDIT: &str = "
INSERT INTO retry_audit (at, actor, action, event_id, key, detail) VALUES ($6, $1, $2, $3, $4, $5)";

const READ_AUDIT: &str = "
SELECT id, at, actor, action, event_id, key, detail FROM retry_audit ORDER BY id DESC LIMIT $1";

#[async_trait]
impl Operations for SqliteRetryStore {
    async fn list(&self, filter: &Filter, limit: u32) -> Result<Listing, RetryStoreError> {
        let rows = select(&self.database, None, filter, limit).await?;
        Ok(Listing::of(rows))
    }

    async fn get(&self, id: i64) -> Result<Option<RetryEvent>, RetryStoreError> {
        let rows = select(&self.database, Some(id), &Filter::default(), 1).await?;
        let row = rows.into_iter().next();
        row.map(RetryEvent::try_from).transpose()
    }

    async fn redrive(&self, id: i64, actor: &str, force: bool) -> Result<(), OperationError> {
        act(&self.database, id, actor, OperatorAction::Redrive { force }).await
    }

    async fn skip(&self, id: i64, actor: &str, reason: &str) -> Result<(), OperationError> {
        act(&self.database, id, actor, OperatorAction::Skip { reason }).await
    }

    async fn count(&self, at_most: u32) -> Result<RetryStoreCount, RetryStoreError> {
        let count = sqlx::query_as(COUNT).bind(i64::from(at_most));
        Ok(RetryStoreCount::of(
            count.fetch_one(self.database.reader()).await?,
        ))
    }

    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, RetryStoreError> {
        let entries = sqlx::query_as(READ_AUDIT)
            .bind(i64::from(limit))
            .fetch_all(self.database.reader());
        Ok(entries.await?)
    }
}

async fn select(
    database: &Sqlite,
    id: Option<i64>,
    filter: &Filter,
    limit: u32,
) -> Result<Vec<OperatorRow>, sqlx::Error> {
    sqlx::query_as(SELECT)
        .bind(id)
        .bind(filter.after)
        .bind(filter.state.map(|state| state.stored()))
        .bind(filter.class.map(|class| class.name()))
        .bind(&filter.key)
        .bind(filter.only_heads)
        .bind(i64::from(limit))
        .bind(i64::from(MAX_COUNTED_BEHIND))
        .bind(now())
        .fetch_all(database.reader())
        .await
}

async fn act(
    database: &Sqlite,
    id: i64,
    actor: &str,
    action: OperatorAction<'_>,
) -> Result<(), OperationError> {
    let mut transaction = database.begin().await?;
    let candidate: Option<Candidate> = sqlx::query_as(CANDIDATE)
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
    let candidate = candidate.ok_or(OperatorRefusal::Unknown { id })?;
    let head = head(&mut transaction, &candidate).await?;
    let detail = action.decide(&candidate, head)?;
    change(&mut transaction, id, &candidate, action).await?;
    sqlx::query(WRITE_AUDIT)
        .bind(actor)
        .bind(action.name())
        .bind(id)
        .bind(&candidate.key)
        .bind(detail)
        .bind(now())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

async fn head(
    transaction: &mut SqliteConnection,
    candidate: &Candidate,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(HEAD)
        .bind(&candidate.topic)
        .bind(&candidate.ordering_key)
        .fetch_optional(transaction)
        .await
}

async fn change(
    transaction: &mut SqliteConnection,
    id: i64,
    candidate: &Candidate,
    action: OperatorAction<'_>,
) -> Result<(), sqlx::Error> {
    let statement = match action {
        OperatorAction::Redrive { .. } => sqlx::query(REDRIVE).bind(id).bind(now()),
        OperatorAction::Skip { .. } => sqlx::query(SKIP).bind(id),
    };
    statement.execute(&mut *transaction).await?;
    match (action, &candidate.ordering_key) {
        (OperatorAction::Skip { .. }, Some(key)) => {
            make_head_due(transaction, &candidate.topic, key).await
        }
        _ => Ok(()),
    }
}
