//! Reads with a deadline that the server enforces as well.
//!
//! A read that only the client cancels keeps running at the server, and occupies its connection, until
//! `statement_timeout`. If the deadline is earlier, the read runs in a transaction with its own `statement_timeout`. That
//! costs one round trip, and the setting ends with the transaction.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::{PgPool, Postgres, Transaction};

use service::deadline::Deadline;

/// `statement_timeout` of the sessions of the pool.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The server times out later than the caller, so that the caller reports its own deadline and not a server error.
const SERVER_MARGIN: Duration = Duration::from_millis(5);

/// A connection for reads.
#[derive(Debug)]
pub enum ReadConnection {
    /// With `statement_timeout` of the session.
    Plain(PoolConnection<Postgres>),
    /// With `statement_timeout` from the deadline. Dropping it rolls back, a no-op for reads.
    Limited(Transaction<'static, Postgres>),
}

impl ReadConnection {
    pub(super) async fn begin(pool: &PgPool, deadline: Deadline) -> Result<Self, sqlx::Error> {
        match deadline.remaining() {
            Some(remaining) if remaining < STATEMENT_TIMEOUT => {
                let limit = (remaining + SERVER_MARGIN).as_millis();
                let begin = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}");
                let begun = pool.begin_with(sqlx::AssertSqlSafe(begin)).await?;
                Ok(Self::Limited(begun))
            }
            _ => Ok(Self::Plain(pool.acquire().await?)),
        }
    }
}

impl Deref for ReadConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Plain(connection) => connection,
            Self::Limited(transaction) => transaction,
        }
    }
}

impl DerefMut for ReadConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Plain(connection) => connection,
            Self::Limited(transaction) => transaction,
        }
    }
}
