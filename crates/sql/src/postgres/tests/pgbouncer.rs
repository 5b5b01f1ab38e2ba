//! The pool behind the real PgBouncer, in each of its modes.

use std::time::Instant;

use postgres_server::{PgBouncer, PoolMode};
use sqlx::Connection as _;

use super::*;
use crate::database::{self, Database, DatabaseConfig, MigrationError, UnusableError};
use crate::operation;
use crate::owner::Owner;
use crate::statements::Query;

/// `lock_timeout` is 2 s, `statement_timeout` 5 s.
const LOCKED_READ: std::ops::Range<Duration> = Duration::from_millis(1_900)..Duration::from_secs(4);

/// Starts PgBouncer before the shared server with a new database; `None`, and a printed line, when it is not installed.
fn pooler(mode: PoolMode, database: &str) -> Option<(PgBouncer, DatabaseConfig)> {
    if !PgBouncer::is_installed() {
        println!("skipped: PgBouncer is not installed (tests/prerequisites.sh)");
        return None;
    }
    let server = postgres_server::shared();
    server.create_database(database).unwrap();
    let pooler = PgBouncer::start(server.port(), mode).unwrap();
    let config = DatabaseConfig {
        url: DatabaseUrl::from_setting(&pooler.url(database)).unwrap(),
        connections: 4,
        migrate_at_start: false,
        owner: Owner::new("service", ""),
    };
    Some((pooler, config))
}

#[tokio::test(flavor = "multi_thread")]
async fn in_session_mode_migrations_run_and_a_locked_read_ends_as_without_a_pooler() {
    let Some((_pooler, config)) = pooler(PoolMode::Session, "pooled_by_session") else {
        return;
    };
    let migrated = database::migrate(&config, MIGRATIONS).await.unwrap();
    assert!(migrated.contains("from version 0 to 1"), "{migrated}");
    let postgres = Postgres::new(&config.url, config.connections).unwrap();
    postgres.check_pooling().await.unwrap();
    let direct = postgres_server::shared().url("pooled_by_session");
    let mut other = PgConnection::connect(&direct).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
        .execute(&mut other)
        .await
        .unwrap();

    let statement = postgres.statements().prepare(Query::on("SELECT things"));
    let read = || sqlx::query("SELECT * FROM things").fetch_all(postgres.pool());
    let asked = Instant::now();
    let ended = operation::run(&statement, 1, read).await;

    let (error, took) = (ended.unwrap_err(), asked.elapsed());
    assert_eq!(code(&error).as_deref(), Some(LOCK_NOT_AVAILABLE), "{error}");
    assert!(LOCKED_READ.contains(&took), "after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_and_statement_mode_are_refused_with_the_mode_to_use() {
    for (mode, database) in [
        (PoolMode::Transaction, "pooled_by_transaction"),
        (PoolMode::Statement, "pooled_by_statement"),
    ] {
        let Some((_pooler, config)) = pooler(mode, database) else {
            return;
        };

        let migrated = database::migrate(&config, MIGRATIONS).await;
        let opened = Database::open(&config, MIGRATIONS).await.unwrap();
        let ready = opened.ready(&config, MIGRATIONS, "service").await;

        let Err(MigrationError::Unusable(error)) = migrated else {
            panic!("{mode:?}: {migrated:?}");
        };
        assert!(error.to_string().contains("pool_mode = session"), "{error}");
        assert!(
            matches!(ready, Err(UnusableError::TransactionPooling)),
            "{mode:?}: {ready:?}"
        );
    }
}
