//! A pool whose server turns read-only, as a former primary after a failover.

use std::time::Instant;

use futures::future::join_all;
use postgres_server::Server;
use service::error_chain::ErrorChain;

use super::*;
use crate::database::{self, Database, DatabaseConfig};
use crate::operation;
use crate::owner::Owner;
use crate::statements::Query;

/// The interval of the checks, and as long again for a busy machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

const SESSIONS: u32 = 4;

const WRITE: &str = "CREATE TEMPORARY TABLE IF NOT EXISTS written ()";

/// A server whose sessions can be made read-only, and a pool of sessions on it that are all open.
async fn server_and_open_pool() -> (Server, Postgres) {
    server_and_open_sessions(SESSIONS).await
}

async fn server_and_open_sessions(count: u32) -> (Server, Postgres) {
    let server = Server::start().unwrap();
    let url = DatabaseUrl::from_setting(&server.url("postgres")).unwrap();
    let postgres = Postgres::new(&url, count).unwrap();
    let sessions = join_all((0..count).map(|_| postgres.pool().acquire())).await;
    for session in sessions {
        session.unwrap().return_to_pool().await;
    }
    (server, postgres)
}

async fn execute(postgres: &Postgres, statement: &'static str) -> Result<(), sqlx::Error> {
    let query = postgres.statements().prepare(Query::transaction("test"));
    let run = || async {
        let run = sqlx::query(statement).execute(postgres.pool());
        run.await.map(drop)
    };
    operation::run(&query, 1, run).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_refused_write_no_session_on_the_read_only_server_is_used() {
    let (server, postgres) = server_and_open_pool().await;
    // No session is checked before the write because of its age: the write comes within the first second of all.
    server.set_read_only(true).unwrap();

    let written = execute(&postgres, WRITE).await;
    let read_after = join_all((0..SESSIONS).map(|_| execute(&postgres, "SELECT 1"))).await;

    assert!(written.is_err());
    for read in read_after {
        assert!(matches!(read, Err(sqlx::Error::PoolTimedOut)), "{read:?}");
    }
    assert!(postgres.sessions().is_read_only());

    server.set_read_only(false).unwrap();
    execute(&postgres, WRITE).await.unwrap();
    assert!(!postgres.sessions().is_read_only());
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_alone_notice_within_a_second_that_the_server_is_read_only() {
    let (server, postgres) = server_and_open_pool().await;
    server.set_read_only(true).unwrap();

    let demoted = Instant::now();
    while execute(&postgres, "SELECT 1").await.is_ok() {
        assert!(demoted.elapsed() < NOTICED_WITHIN, "still read from it");
    }

    server.set_read_only(false).unwrap();
    execute(&postgres, "SELECT 1").await.unwrap();
}

/// A busy session is hardly ever idle, so that a second of its age nearly always ends while it is in use.
#[tokio::test(flavor = "multi_thread")]
async fn reads_on_a_session_that_is_always_in_use_notice_it_too() {
    let (server, postgres) = server_and_open_sessions(1).await;
    server.set_read_only(true).unwrap();

    let demoted = Instant::now();
    while execute(&postgres, "SELECT pg_sleep(0.005)").await.is_ok() {
        assert!(demoted.elapsed() < NOTICED_WITHIN, "still read from it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_server_ended_is_replaced() {
    let (server, postgres) = server_and_open_pool().await;
    let end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE usename = current_user AND pid <> pg_backend_pid()";
    server.execute(end_all).unwrap();

    // The error of the first statement puts all others in doubt.
    let _ = execute(&postgres, "SELECT 1").await;

    for _ in 0..SESSIONS {
        execute(&postgres, WRITE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_read_only_server_waits_and_an_operator_is_told_the_reason() {
    let server = Server::start().unwrap();
    server.create_database("things").unwrap();
    let config = DatabaseConfig {
        url: DatabaseUrl::from_setting(&server.url("things")).unwrap(),
        connections: SESSIONS,
        migrate_at_start: false,
        owner: Owner::new("service", ""),
    };
    database::migrate(&config, MIGRATIONS).await.unwrap();
    server.set_read_only(true).unwrap();

    let ready = tokio::spawn({
        let config = config.clone();
        async move {
            let database = Database::open(&config, MIGRATIONS).await.unwrap();
            database.ready(&config, MIGRATIONS, "service").await
        }
    });
    let inspected = Database::inspect(&config, MIGRATIONS, "service").await;
    let migrated = database::migrate(&config, MIGRATIONS).await;

    let reasons = [
        inspected.unwrap_err().to_string(),
        ErrorChain(&migrated.unwrap_err()).to_string(),
    ];
    for reason in reasons {
        assert!(reason.contains("server is read-only"), "{reason}");
    }
    assert!(!ready.is_finished());
    server.set_read_only(false).unwrap();
    ready.await.unwrap().unwrap();
}
