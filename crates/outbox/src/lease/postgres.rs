//! Leases as rows in the database that holds the outbox. Expiry uses that database's clock.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use super::{LeaseGrant, Leases, TERM};
use crate::outbox::OutboxError;
use crate::shard::Shard;
use sql::columns::column;
use sql::operation;
use sql::postgres::Postgres;
use sql::statements::{Query, Statement};

/// One round trip: registers the member as alive, renews its leases, and claims free ones up to the fair share. `now()` is
/// the same in all parts. An expired lease of this member is renewed if no other member has claimed it.
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

/// Also removes members that died more than an hour ago.
const LEAVE: &str = "
WITH gone AS (DELETE FROM outbox_relay WHERE member = $1 OR expires_at < now() - interval '1 hour')
UPDATE outbox_lease SET owner = NULL, expires_at = '-infinity' WHERE owner = $1";

/// The leases on the outbox of one database.
#[derive(Clone, Debug)]
pub struct PostgresLeases {
    database: Arc<Postgres>,
    renew: Statement,
    release: Statement,
    leave: Statement,
}

impl PostgresLeases {
    /// The leases of a database that has the tables of [`crate::database::MIGRATIONS`].
    pub fn new(database: Arc<Postgres>) -> Self {
        let prepare = |summary| database.statements().prepare(Query::transaction(summary));
        Self {
            renew: prepare("renew leases"),
            release: prepare("release leases"),
            leave: prepare("leave leases"),
            database,
        }
    }
}

#[async_trait]
impl Leases for PostgresLeases {
    async fn renew(&self, member: Uuid) -> Result<LeaseGrant, OutboxError> {
        // Read before the database reads its own clock, so that the holder's end of the lease comes first.
        let asked = Instant::now();
        let renew = || {
            let renew = sqlx::query_as(RENEW).bind(member).bind(TERM);
            renew.fetch_one(self.database.pool())
        };
        let (fair, shards): (i64, Vec<i16>) = operation::run(&self.renew, 1, renew).await?;
        let shards = shards.into_iter().map(Shard::numbered).collect();
        let fair_share = usize::try_from(fair).unwrap_or(usize::MAX);
        Ok(LeaseGrant::granted(asked, shards, fair_share))
    }

    async fn release(&self, member: Uuid, shards: &[Shard]) -> Result<(), OutboxError> {
        let shards = column(shards, |shard| shard.number());
        let release = || {
            let release = sqlx::query(RELEASE).bind(member).bind(&shards);
            release.execute(self.database.pool())
        };
        operation::run(&self.release, 1, release).await?;
        Ok(())
    }

    async fn leave(&self, member: Uuid) -> Result<(), OutboxError> {
        let leave = || {
            let leave = sqlx::query(LEAVE).bind(member);
            leave.execute(self.database.pool())
        };
        operation::run(&self.leave, 1, leave).await?;
        Ok(())
    }
}
