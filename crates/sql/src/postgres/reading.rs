//! Reading with a deadline that the server keeps, too.
//!
//! Giving a read up at this end leaves the statement running at the server, holding its connection, until a limit of its
//! own. Where the deadline is earlier than that limit, the read takes place in a transaction whose statements the server
//! ends itself. That is one round trip more, and no setting can stay behind on the connection.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::{PgPool, Postgres, Transaction};

use super::STATEMENT_TIMEOUT;
use service::deadline::Deadline;

/// What the server waits longer than the caller: who gives up first decides how it is told, and the caller knows best.
const AFTER_THE_CALLER: Duration = Duration::from_millis(5);

/// A connection to read on.
#[derive(Debug)]
pub enum Reading {
    /// With the limits of the session.
    Unbounded(PoolConnection<Postgres>),
    /// With the deadline of a call. Dropped, it is rolled back, which for a read is nothing.
    Bounded(Transaction<'static, Postgres>),
}

impl Reading {
    pub(super) async fn begin(pool: &PgPool, deadline: Deadline) -> Result<Self, sqlx::Error> {
        match deadline.remaining() {
            Some(remaining) if remaining < STATEMENT_TIMEOUT => {
                let limit = (remaining + AFTER_THE_CALLER).as_millis();
                let begin = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}");
                let begun = pool.begin_with(sqlx::AssertSqlSafe(begin)).await?;
                Ok(Self::Bounded(begun))
            }
            _ => Ok(Self::Unbounded(pool.acquire().await?)),
        }
    }
}

impl Deref for Reading {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Unbounded(connection) => connection,
            Self::Bounded(transaction) => transaction,
        }
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Unbounded(connection) => connection,
            Self::Bounded(transaction) => transaction,
        }
    }
}
