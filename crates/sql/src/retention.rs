//! Retention: deletes rows that are older than their table keeps them, in small batches off the hot path.
//!
//! Guarantees: a batch is one short statement and its own transaction; after it the pruner pauses four times as long as
//! the batch took, so it uses at most a fifth of the single writer of SQLite. Several replicas may prune at once: on
//! PostgreSQL a batch skips rows that another transaction has locked, so neither waits for the other.
//!
//! No index is added for it: keys ascend with time (UUIDv7, sequence), so the oldest rows are at the start of the primary
//! key. An id that is no UUIDv7 sorts as a time in the far future; those are pruned from the other end of the key.
//!
//! It does not shrink a file: SQLite and PostgreSQL reuse the freed pages, so the size stays at its maximum.

use std::time::{Duration, Instant, SystemTime};

use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Postgres as PostgresDriver, Sqlite as SqliteDriver};
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::columns::unix_millis;
use crate::database::Database;
use crate::operation::bounded;
use crate::statements::{Query, Statement};
use service::config::Settings;
use service::error_chain::ErrorChain;
use telemetry::instruments::Counter;
use telemetry::names::{attributes, metrics};
use telemetry::reading::LastReading;
use telemetry::vocabulary::Labels;

/// The pause after a batch, in durations of that batch.
const PAUSE_FACTOR: u32 = 4;

/// Minimum pause after a batch: an idle database is not pruned at full speed either.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// An id whose time is later than this after now is no UUIDv7. Clocks differ by less.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 3_600);

/// Unix milliseconds.
const DATABASE_CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// A larger batch would hold the writer of SQLite noticeably.
const MAX_BATCH: u32 = 10_000;

/// How often and in which steps rows are pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruneConfig {
    /// Time between rounds.
    pub interval: Duration,
    /// Maximum rows per statement.
    pub batch: u32,
}

impl PruneConfig {
    /// Reads the settings `PRUNE_INTERVAL` and `PRUNE_BATCH`.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let config = Self {
            interval: settings.value(
                "PRUNE_INTERVAL",
                "1m",
                "time between two rounds that delete rows older than their retention",
            ),
            batch: settings.value(
                "PRUNE_BATCH",
                "500",
                "maximum rows that one statement of such a round deletes, rows deleted with them not counted; more hold the writer of SQLite longer",
            ),
        };
        let is_valid = !config.interval.is_zero();
        settings.require(is_valid, "PRUNE_INTERVAL", "must be above zero");
        let is_valid = (1..=MAX_BATCH).contains(&config.batch);
        let why = format_args!("must be 1 to {MAX_BATCH}");
        settings.require(is_valid, "PRUNE_BATCH", why);
        config
    }
}

/// Reads the retention of a table and rejects one below `min`.
pub fn read_retention(
    settings: &mut Settings<'_>,
    name: &'static str,
    default: &'static str,
    min: Duration,
    help: &'static str,
) -> Duration {
    let kept: Duration = settings.value(name, default, help);
    let days = min.as_secs() / (24 * 3_600);
    let why = format_args!(
        "must be at least {days}d: so long an event can be redelivered, until its topic has deleted it"
    );
    settings.require(kept >= min, name, why);
    kept
}

/// The primary key by which the rows of a table ascend with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionKey {
    /// One column with a UUIDv7.
    TimeOrderedId(&'static str),
    /// Columns of a small table, or one with a sequence.
    Columns(&'static str),
}

/// Which rows of a table are deleted, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// The table. Rows of other tables that reference it are deleted by its foreign keys or triggers.
    pub table: &'static str,
    pub key: RetentionKey,
    /// The column with the time from which the retention counts, in unix milliseconds.
    pub time: &'static str,
    /// The condition of rows that may be deleted at all, in SQL of both engines.
    pub condition: &'static str,
    pub kept: Duration,
}

/// The lowest UUIDv7 of a time.
pub fn lowest_id(at: SystemTime) -> Uuid {
    Uuid::from_u128(u128::from(unix_millis(at).unsigned_abs()) << 80)
}

impl RetentionRule {
    /// Selects the keys of expired rows. `$1` is the time, `$2` the maximum of rows; ids are below `$3` or above `$4`.
    fn expired(&self, range: &str, suffix: &str) -> String {
        let Self {
            table,
            time,
            condition,
            ..
        } = self;
        let key = self.columns();
        format!(
            "SELECT {key} FROM {table} WHERE {range} AND {condition} AND {time} < $1 ORDER BY {key} LIMIT $2{suffix}"
        )
    }

    fn columns(&self) -> &'static str {
        match self.key {
            RetentionKey::TimeOrderedId(key) | RetentionKey::Columns(key) => key,
        }
    }

    fn delete_on_sqlite(&self) -> String {
        let table = self.table;
        match self.key {
            RetentionKey::TimeOrderedId(key) => {
                let old = self.expired(&format!("{key} < $3"), "");
                let foreign = self.expired(&format!("{key} > $4"), "");
                format!(
                    "DELETE FROM {table} WHERE {key} IN (SELECT * FROM ({old}) UNION ALL SELECT * FROM ({foreign}))"
                )
            }
            RetentionKey::Columns(key) => {
                let old = self.expired("TRUE", "");
                format!("DELETE FROM {table} WHERE ({key}) IN ({old})")
            }
        }
    }

    fn delete_on_postgres(&self) -> String {
        const SKIP_LOCKED: &str = " FOR UPDATE SKIP LOCKED";
        let table = self.table;
        match self.key {
            RetentionKey::TimeOrderedId(key) => {
                let old = self.expired(&format!("{key} < $3"), SKIP_LOCKED);
                let foreign = self.expired(&format!("{key} > $4"), SKIP_LOCKED);
                // Arrays: the planner runs each part once.
                format!("DELETE FROM {table} WHERE {key} = ANY(ARRAY({old}) || ARRAY({foreign}))")
            }
            RetentionKey::Columns(key) => {
                let old = self.expired("TRUE", SKIP_LOCKED);
                format!(
                    "WITH expired AS MATERIALIZED ({old}) DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM expired)"
                )
            }
        }
    }

    /// The time of the oldest row that the rule will delete.
    fn oldest(&self) -> String {
        let (table, time, condition, key) = (self.table, self.time, self.condition, self.columns());
        format!("SELECT {time} FROM {table} WHERE {condition} ORDER BY {key} LIMIT 1")
    }
}

/// A rule with its statements for the engine in use, and its telemetry.
#[derive(Debug)]
struct PrunedTable {
    rule: RetentionRule,
    delete: String,
    oldest: String,
    statement: Statement,
    labels: Labels,
    age: LastReading<Duration>,
}

/// Prunes the tables of one database.
#[derive(Debug)]
pub struct Pruner {
    database: Database,
    tables: Vec<PrunedTable>,
    config: PruneConfig,
    pruned: Counter,
}

impl Pruner {
    /// Registers the gauges of the tables.
    pub fn new(database: &Database, rules: Vec<RetentionRule>, config: PruneConfig) -> Self {
        let table = |rule: RetentionRule| {
            let delete = match database {
                Database::Sqlite(_) => rule.delete_on_sqlite(),
                Database::Postgres(_) => rule.delete_on_postgres(),
            };
            PrunedTable {
                delete,
                oldest: rule.oldest(),
                statement: database
                    .statements()
                    .prepare(Query::transaction("prune expired rows")),
                labels: Labels::of([attributes::DB_COLLECTION_NAME.label(rule.table)]),
                age: LastReading::default(),
                rule,
            }
        };
        let pruner = Self {
            database: database.clone(),
            tables: rules.into_iter().map(table).collect(),
            config,
            pruned: metrics::RETENTION_PRUNED_ROWS.counter(),
        };
        pruner.observe();
        pruner
    }

    fn observe(&self) {
        let gauge = |table: &PrunedTable| (table.age.display(), table.labels.clone());
        let gauges: Vec<_> = self.tables.iter().map(gauge).collect();
        metrics::RETENTION_OLDEST_AGE.observe_time(move || {
            let ages = gauges.iter().map(|(age, labels)| (age.last(), labels));
            let known = ages.filter_map(|(age, labels)| Some((age?, labels.clone())));
            known.collect::<Vec<_>>()
        });
    }

    /// Prunes round by round until `stop`. A batch in progress at the stop is rolled back.
    pub async fn run(self, stop: CancellationToken) {
        let start = tokio::time::Instant::now() + self.config.interval;
        let mut ticks = interval_at(start, self.config.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let rounds = async {
            loop {
                ticks.tick().await;
                self.round().await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    async fn round(&self) {
        let now = match bounded(self.clock(SystemTime::now())).await {
            Ok(now) => now,
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "pruning failed");
                return;
            }
        };
        for table in &self.tables {
            let pruned = self.prune_table(table, now).await;
            match pruned {
                Ok(0) => {}
                Ok(rows) => tracing::debug!(table = table.rule.table, rows, "expired rows pruned"),
                // The next round continues.
                Err(error) => {
                    tracing::warn!(table = table.rule.table, error = %ErrorChain(&error), "pruning failed");
                }
            }
        }
    }

    /// `here`, the clock of this replica, or the clock of the database if that is behind: a replica whose clock is wrong by
    /// years must not delete what the others keep. A SQLite file has no clock of its own.
    async fn clock(&self, here: SystemTime) -> Result<SystemTime, sqlx::Error> {
        let Database::Postgres(server) = &self.database else {
            return Ok(here);
        };
        let there: i64 = sqlx::query_scalar(DATABASE_CLOCK)
            .fetch_one(server.pool())
            .await?;
        let there = Duration::from_millis(u64::try_from(there).unwrap_or(0));
        Ok(here.min(SystemTime::UNIX_EPOCH + there))
    }

    /// Deletes the rows that have expired at `now`, of all tables; returns their number by table.
    ///
    /// # Errors
    /// The database fails; the batches before are committed.
    pub async fn prune(&self, now: SystemTime) -> Result<Vec<(&'static str, u64)>, sqlx::Error> {
        let mut pruned = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            pruned.push((table.rule.table, self.prune_table(table, now).await?));
        }
        Ok(pruned)
    }

    async fn prune_table(&self, table: &PrunedTable, now: SystemTime) -> Result<u64, sqlx::Error> {
        let mut pruned = 0;
        loop {
            let begun = Instant::now();
            let delete = Box::pin(bounded(self.delete_batch(table, now)));
            let rows = table.statement.run(delete).await?;
            self.pruned.add(rows, &table.labels);
            pruned += rows;
            // A batch that is not full was the last one, up to rows that another replica has locked.
            if rows < u64::from(self.config.batch) {
                break;
            }
            tokio::time::sleep(MIN_PAUSE.max(begun.elapsed() * PAUSE_FACTOR)).await;
        }
        let oldest = bounded(self.oldest(table)).await;
        let age = oldest.as_ref().ok().map(|oldest| age_at(*oldest, now));
        table.age.note(age);
        oldest.map(|_| pruned)
    }

    async fn delete_batch(&self, table: &PrunedTable, now: SystemTime) -> Result<u64, sqlx::Error> {
        let delete = AssertSqlSafe(table.delete.clone());
        let expired = now.checked_sub(table.rule.kept);
        let expired = expired.unwrap_or(SystemTime::UNIX_EPOCH);
        let (time, limit) = (unix_millis(expired), i64::from(self.config.batch));
        let ids = match table.rule.key {
            RetentionKey::TimeOrderedId(_) => {
                Some((lowest_id(expired), lowest_id(now + CLOCK_TOLERANCE)))
            }
            RetentionKey::Columns(_) => None,
        };
        match &self.database {
            Database::Sqlite(file) => {
                let mut delete = sqlx::query::<SqliteDriver>(delete).bind(time).bind(limit);
                if let Some((below, above)) = ids {
                    delete = delete.bind(below).bind(above);
                }
                let mut transaction = file.begin().await?;
                let deleted = delete.execute(&mut *transaction).await?;
                transaction.commit().await?;
                Ok(deleted.rows_affected())
            }
            Database::Postgres(server) => {
                let mut delete = sqlx::query::<PostgresDriver>(delete).bind(time).bind(limit);
                if let Some((below, above)) = ids {
                    delete = delete.bind(below).bind(above);
                }
                Ok(delete.execute(server.pool()).await?.rows_affected())
            }
        }
    }

    async fn oldest(&self, table: &PrunedTable) -> Result<Option<i64>, sqlx::Error> {
        let oldest = AssertSqlSafe(table.oldest.clone());
        match &self.database {
            Database::Sqlite(file) => {
                let oldest = sqlx::query_scalar(oldest);
                oldest.fetch_optional(file.reader()).await
            }
            Database::Postgres(server) => {
                let oldest = sqlx::query_scalar(oldest);
                oldest.fetch_optional(server.pool()).await
            }
        }
    }
}

/// Zero for an empty table.
fn age_at(oldest: Option<i64>, now: SystemTime) -> Duration {
    let age = oldest.map_or(0, |oldest| unix_millis(now).saturating_sub(oldest));
    Duration::from_millis(u64::try_from(age).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::postgres::Postgres;
    use crate::url::DatabaseUrl;
    use service::config::FromSetting;

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    #[tokio::test]
    async fn a_replica_whose_clock_is_ahead_prunes_by_the_clock_of_the_database() {
        let server = postgres_server::shared();
        server.create_database("two_clocks").unwrap();
        let url = DatabaseUrl::from_setting(&server.url("two_clocks")).unwrap();
        let database = Database::Postgres(Arc::new(Postgres::new(&url, 1).unwrap()));
        let config = PruneConfig {
            interval: DAY,
            batch: 100,
        };
        let pruner = Pruner::new(&database, Vec::new(), config);
        let now = SystemTime::now();

        let ahead = pruner.clock(now + DAY * 3_650).await.unwrap();
        let behind = pruner.clock(now - DAY).await.unwrap();

        assert!(ahead < now + DAY, "{ahead:?}");
        assert_eq!(behind, now - DAY);
    }
}
