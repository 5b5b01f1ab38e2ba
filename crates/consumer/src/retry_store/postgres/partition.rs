//! The owner of a partition, and the attempt counts of the crash-loop guard.

use sqlx::PgPool;
use uuid::Uuid;

use crate::retry_store::blocked::{self, BLOCKED_KEYS};
use crate::retry_store::row::{count, timestamp};
use crate::retry_store::{SessionStart, TopicPartition};
use kafka::record::Record;

/// An existing row was left by a crash. A row of the same owner is a repeated call whose first answer was lost: it gets the
/// same answer.
const BEGIN: &str = "
INSERT INTO consumer_assignments AS assignment (topic, partition, owner, after_a_crash) VALUES ($1, $2, $3, false)
ON CONFLICT (topic, partition) DO UPDATE
SET owner = $3, after_a_crash = assignment.owner <> $3 OR assignment.after_a_crash
RETURNING after_a_crash";

const END: &str = "
DELETE FROM consumer_assignments WHERE topic = $1 AND partition = $2 AND owner = $3";

const COUNT_ATTEMPT: &str = "
INSERT INTO record_attempts AS counted (topic, partition, record_offset, record_timestamp, attempts)
VALUES ($1, $2, $3, $4, 1)
ON CONFLICT (topic, partition, record_offset, record_timestamp) DO UPDATE SET attempts = counted.attempts + 1
RETURNING attempts";

const FORGET_ATTEMPTS: &str = "
DELETE FROM record_attempts
WHERE topic = $1 AND partition = $2 AND record_offset = $3 AND record_timestamp = $4";

pub(super) async fn begin_session(
    pool: &PgPool,
    partition: &TopicPartition,
    owner: Uuid,
) -> Result<SessionStart, sqlx::Error> {
    let after_a_crash = sqlx::query_scalar(BEGIN)
        .bind(&partition.topic)
        .bind(partition.partition)
        .bind(owner)
        .fetch_one(pool)
        .await?;
    let keys = sqlx::query_scalar(BLOCKED_KEYS)
        .bind(&partition.topic)
        .bind(blocked::LIMIT)
        .fetch_all(pool)
        .await?;
    Ok(SessionStart {
        blocked: blocked::of(keys),
        after_a_crash,
    })
}

pub(super) async fn end_session(
    pool: &PgPool,
    partition: &TopicPartition,
    owner: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query(END)
        .bind(&partition.topic)
        .bind(partition.partition)
        .bind(owner)
        .execute(pool)
        .await?;
    Ok(())
}

pub(super) async fn count_attempt(pool: &PgPool, record: &Record) -> Result<u32, sqlx::Error> {
    let attempts = sqlx::query_scalar(COUNT_ATTEMPT)
        .bind(&record.topic)
        .bind(record.partition)
        .bind(record.offset)
        .bind(timestamp(record))
        .fetch_one(pool)
        .await?;
    Ok(count(attempts))
}

pub(super) async fn forget_attempts(pool: &PgPool, record: &Record) -> Result<(), sqlx::Error> {
    sqlx::query(FORGET_ATTEMPTS)
        .bind(&record.topic)
        .bind(record.partition)
        .bind(record.offset)
        .bind(timestamp(record))
        .execute(pool)
        .await?;
    Ok(())
}
