//! Leases as rows of the database that holds the outbox.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Row;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Leases, TERM, Tenure};
use crate::{OutboxError, Shard};
use sql::postgres::{Postgres, retry_conflicts};

/// One round trip: the sign of life, the renewal, and the claim of what is free up to the fair share. `now()` is the same
/// in all parts. A lease of this member that ran out is renewed like any other if nobody has claimed it.
const RENEW: &str = "
WITH alive AS (
    INSERT INTO outbox_relay (member, expires_at) VALUES ($1, now() + $2)
    ON CONFLICT (member) DO UPDATE SET expires_at = EXCLUDED.expires_at
), share AS (
    SELECT ceil((SELECT count(*) FROM outbox_lease)::float8 / (1 + count(*)))::bigint AS fair
    FROM outbox_relay WHERE member <> $1 AND expires_at > now()
), renewed AS (
    UPDATE outbox_lease SET expires_at = now() + $2 WHERE owner = $1 RETURNING shard
), free AS (
    SELECT shard FROM outbox_lease
    WHERE owner IS DISTINCT FROM $1 AND (owner IS NULL OR expires_at < now())
    ORDER BY shard
    LIMIT greatest(0, (SELECT fair FROM share) - (SELECT count(*) FROM renewed))
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE outbox_lease SET owner = $1, epoch = epoch + 1, expires_at = now() + $2
    WHERE shard IN (SELECT shard FROM free) RETURNING shard
)
SELECT (SELECT fair FROM share) AS fair,
       ARRAY(SELECT shard FROM renewed UNION SELECT shard FROM claimed ORDER BY shard) AS shards";

const RELEASE: &str = "
UPDATE outbox_lease SET owner = NULL, expires_at = '-infinity' WHERE owner = $1 AND shard = ANY($2)";

/// The members that died are removed along the way.
const LEAVE: &str = "
WITH gone AS (DELETE FROM outbox_relay WHERE member = $1 OR expires_at < now() - interval '1 hour')
UPDATE outbox_lease SET owner = NULL, expires_at = '-infinity' WHERE owner = $1";

/// The leases of one database.
#[derive(Clone, Debug)]
pub struct PostgresLeases {
    database: Arc<Postgres>,
}

impl PostgresLeases {
    /// The leases of this database.
    pub fn new(database: Arc<Postgres>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Leases for PostgresLeases {
    async fn renew(&self, member: Uuid) -> Result<Tenure, OutboxError> {
        // Before the database looks at its own clock: this side's end comes first.
        let asked = Instant::now();
        let row = retry_conflicts(|| async {
            sqlx::query(RENEW)
                .bind(member)
                .bind(TERM)
                .fetch_one(self.database.pool())
                .await
        })
        .await?;
        let shards: Vec<i16> = row.try_get("shards")?;
        let fair: i64 = row.try_get("fair")?;
        let shards = shards.into_iter().map(Shard::numbered).collect();
        Ok(Tenure::granted(
            asked,
            shards,
            usize::try_from(fair).unwrap_or(usize::MAX),
        ))
    }

    async fn release(&self, member: Uuid, shards: &[Shard]) -> Result<(), OutboxError> {
        let shards: Vec<i16> = shards.iter().map(|shard| shard.number()).collect();
        retry_conflicts(|| async {
            sqlx::query(RELEASE)
                .bind(member)
                .bind(&shards)
                .execute(self.database.pool())
                .await
        })
        .await?;
        Ok(())
    }

    async fn leave(&self, member: Uuid) -> Result<(), OutboxError> {
        retry_conflicts(|| async {
            sqlx::query(LEAVE)
                .bind(member)
                .execute(self.database.pool())
                .await
        })
        .await?;
        Ok(())
    }
}
