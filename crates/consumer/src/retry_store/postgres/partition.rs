//! Who works on a partition, and which attempts a process may not have survived.

use sqlx::PgPool;
use uuid::Uuid;

use crate::retry_store::blocked::{self, BLOCKED_KEYS};
use crate::retry_store::row::{count, timestamp};
use crate::retry_store::{Beginning, RetryStoreError, Source};
use kafka::record::Record;
use sql::postgres::{bounded, retry_conflicts};

/// A row that is there was left by a crash, unless it is this owner's: then the first call was answered to nobody, and its
/// answer stands.
const BEGIN: &str = "
INSERT INTO consumer_assignments AS assignment (topic, partition, owner, after_a_crash) VALUES ($1, $2, $3, false)
ON CONFLICT (topic, partition) DO UPDATE
SET owner = $3, after_a_crash = assignment.owner <> $3 OR assignment.after_a_crash
RETURNING after_a_crash";

const END: &str = "
DELETE FROM consumer_assignments WHERE topic = $1 AND partition = $2 AND owner = $3";

const NOTE_ATTEMPT: &str = "
INSERT INTO record_attempts AS noted (topic, partition, record_offset, record_timestamp, attempts)
VALUES ($1, $2, $3, $4, 1)
ON CONFLICT (topic, partition, record_offset, record_timestamp) DO UPDATE SET attempts = noted.attempts + 1
RETURNING attempts";

const FORGET_ATTEMPTS: &str = "
DELETE FROM record_attempts
WHERE topic = $1 AND partition = $2 AND record_offset = $3 AND record_timestamp = $4";

pub(super) async fn begin(
    pool: &PgPool,
    source: &Source,
    owner: Uuid,
) -> Result<Beginning, RetryStoreError> {
    let after_a_crash = retry_conflicts(|| async {
        sqlx::query_scalar(BEGIN)
            .bind(&source.topic)
            .bind(source.partition)
            .bind(owner)
            .fetch_one(pool)
            .await
    })
    .await?;
    let keys = sqlx::query_scalar(BLOCKED_KEYS)
        .bind(&source.topic)
        .bind(blocked::LIMIT)
        .fetch_all(pool);
    Ok(Beginning {
        blocked: blocked::of(bounded(keys).await?),
        after_a_crash,
    })
}

pub(super) async fn end(
    pool: &PgPool,
    source: &Source,
    owner: Uuid,
) -> Result<(), RetryStoreError> {
    retry_conflicts(|| async {
        sqlx::query(END)
            .bind(&source.topic)
            .bind(source.partition)
            .bind(owner)
            .execute(pool)
            .await
    })
    .await?;
    Ok(())
}

pub(super) async fn note_attempt(pool: &PgPool, record: &Record) -> Result<u32, RetryStoreError> {
    let attempts = retry_conflicts(|| async {
        sqlx::query_scalar(NOTE_ATTEMPT)
            .bind(&record.topic)
            .bind(record.partition)
            .bind(record.offset)
            .bind(timestamp(record))
            .fetch_one(pool)
            .await
    })
    .await?;
    Ok(count(attempts))
}

pub(super) async fn forget_attempts(pool: &PgPool, record: &Record) -> Result<(), RetryStoreError> {
    retry_conflicts(|| async {
        sqlx::query(FORGET_ATTEMPTS)
            .bind(&record.topic)
            .bind(record.partition)
            .bind(record.offset)
            .bind(timestamp(record))
            .execute(pool)
            .await
    })
    .await?;
    Ok(())
}
