//! The settings of a session, the check that its server accepts writes, and the age of its plans.
//!
//! After a failover the former primary can go on, read-only or as a standby of the new one, with its connections open.
//! New connections reach the new primary; an open session would fail at every write, and return old data at every read,
//! until its maximum lifetime of half an hour. Therefore:
//!
//! * A new session is refused while its server is read-only, as `target_session_attrs=read-write` does in libpq.
//! * A session is checked about once a second, at its next use: one round trip, in place of the ping of an idle session.
//! * After an error that only such a server reports, or one that stops, every session is checked at its next use.
//!
//! The check also makes the session plan its statements anew. The server keeps the plan of a prepared statement until the
//! statistics of its tables change, which a busy table may have to wait a minute for. What is best for an empty table, reading
//! all of it, is not when it has filled up since; an outbox is often empty when it is vacuumed.
//!
//! The settings are made by `SET`: PgBouncer refuses the start-up parameter `options`, or drops it if told to.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::PgConnection;

use crate::sessions::Sessions;

/// Limits that the server enforces in every session of the pool, set in one round trip together with the check.
const POOLED: &str = concat!(
    // [`super::STATEMENT_TIMEOUT`]: longer than any statement here takes on a healthy server.
    "SET statement_timeout = '5s';",
    // Shorter than statement_timeout: distinguishes a lock wait from a slow statement.
    "SET lock_timeout = '2s';",
    // Releases the row locks of a process that hangs in a transaction.
    "SET idle_in_transaction_session_timeout = '10s';",
    // Every statement here takes milliseconds. PostgreSQL compiles the plan of one that it expects to take long, which it does
    // by mistake where dead rows count as rows; that alone takes 200 ms.
    "SET jit = off;",
    "SHOW transaction_read_only",
);

/// A migration has no statement timeout, but must not block all traffic behind a lock that it waits for.
const MIGRATION: &str = "SET lock_timeout = '5s'; SHOW transaction_read_only";

/// `on` in recovery (a standby) and with `default_transaction_read_only`. Plans are made at the next use of each statement.
const CHECK: &str = "DISCARD PLANS; SHOW transaction_read_only";

/// PgBouncer closes its connection to the server when the client disconnects within a transaction. Otherwise it would lend
/// the same connection, to the former primary, to the next client.
const SPOIL: &str = "BEGIN";

/// The purpose of a session, which decides about its settings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Pooled,
    Migration,
}

/// The server accepts no writes.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database server is read-only: it is a standby, or a primary that was replaced after a failover"
)]
struct ReadOnlyServer;

/// Prepares a new session: its settings, and the check of its server, in one round trip.
///
/// # Errors
/// [`ReadOnlyServer`] as an I/O error, or an error of the connection.
pub(super) async fn prepare(
    sessions: &Sessions,
    connection: &mut PgConnection,
    purpose: Purpose,
) -> Result<(), sqlx::Error> {
    let settings = match purpose {
        Purpose::Pooled => POOLED,
        Purpose::Migration => MIGRATION,
    };
    let is_read_only = is_on(connection, settings).await?;
    sessions.answered(is_read_only);
    if is_read_only {
        spoil(connection).await?;
        return Err(sqlx::Error::Io(std::io::Error::other(ReadOnlyServer)));
    }
    Ok(())
}

/// As [`prepare`], for the pool, which opens another connection at once when this one is refused, and logs an error each
/// time. Therefore a refusal takes as long as the pool waits for a connection.
pub(super) async fn prepare_pooled(
    sessions: &Sessions,
    connection: &mut PgConnection,
    pool_waits: Duration,
) -> Result<(), sqlx::Error> {
    let prepared = prepare(sessions, connection, Purpose::Pooled).await;
    if prepared.is_err() && sessions.is_read_only() {
        tokio::time::sleep(pool_waits).await;
    }
    prepared
}

/// Whether an idle session of the pool can be used. The pool closes it if not.
///
/// # Errors
/// The connection is broken.
pub(super) async fn is_usable(
    sessions: &Sessions,
    connection: &mut PgConnection,
    session: PoolConnectionMetadata,
) -> Result<bool, sqlx::Error> {
    if !sessions.is_check_due(session.age, session.idle_for) {
        return Ok(true);
    }
    let is_read_only = is_on(connection, CHECK).await?;
    sessions.answered(is_read_only);
    if is_read_only {
        sessions.doubt();
        spoil(connection).await?;
    }
    Ok(!is_read_only)
}

/// Runs statements, of which the last one shows a setting, in one round trip.
async fn is_on(
    connection: &mut PgConnection,
    statements: &'static str,
) -> Result<bool, sqlx::Error> {
    let shown = sqlx::raw_sql(statements).fetch_one(connection).await?;
    Ok(shown.try_get::<&str, _>(0)? == "on")
}

async fn spoil(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(SPOIL).execute(connection).await.map(drop)
}
