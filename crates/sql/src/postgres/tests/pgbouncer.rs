//! The pool behind the real PgBouncer, in each of its modes.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use futures::future::join_all;
use postgres_server::{PgBouncer, PoolMode, Server};
use sqlx::Connection as _;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::database::{self, Database, DatabaseConfig, MigrationError, UnusableError};
use crate::operation;
use crate::owner::Owner;
use crate::statements::Query;

/// `lock_timeout` is 2 s, `statement_timeout` 5 s.
const LOCKED_READ: std::ops::Range<Duration> = Duration::from_millis(1_900)..Duration::from_secs(4);

const REFUSED_WITHIN: Duration = Duration::from_secs(10);

/// The pool waits a second for a connection, and each refused one is replaced.
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);

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
        // A mode that is not refused would make it wait for a migration for ever.
        let ready = opened.ready(&config, MIGRATIONS, "service");
        let ready = timeout(REFUSED_WITHIN, ready).await.expect("an answer");

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

/// Two servers behind one address, and PgBouncer before it: it keeps its connections to the former primary open.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_failover_pgbouncer_lends_no_connection_to_the_former_primary() {
    if !PgBouncer::is_installed() {
        println!("skipped: PgBouncer is not installed (tests/prerequisites.sh)");
        return;
    }
    let (former, new) = (Server::start().unwrap(), Server::start().unwrap());
    let primary = Arc::new(AtomicU16::new(former.port()));
    let address = forward_to(Arc::clone(&primary)).await;
    let pooler = PgBouncer::start(address, PoolMode::Session).unwrap();
    let url = DatabaseUrl::from_setting(&pooler.url("postgres")).unwrap();
    let postgres = Postgres::new(&url, 4).unwrap();
    let sessions = join_all((0..4).map(|_| postgres.pool().acquire())).await;
    assert!(sessions.iter().all(Result::is_ok));
    drop(sessions);

    former.set_read_only(true).unwrap();
    primary.store(new.port(), Ordering::Relaxed);

    let switched = Instant::now();
    let write = "CREATE TEMPORARY TABLE IF NOT EXISTS written ()";
    while let Err(error) = sqlx::query(write).execute(postgres.pool()).await {
        assert!(switched.elapsed() < RECOVERED_WITHIN, "{error}");
    }
}

/// Forwards each new connection to the port on 127.0.0.1 that is current then; returns its own port.
async fn forward_to(port: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let to = ("127.0.0.1", port.load(Ordering::Relaxed));
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    own
}
