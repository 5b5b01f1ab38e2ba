//! Adds events: failed ones, and later events behind them.

use sqlx::FromRow;

use super::connection::{Connection, Query};
use super::row::{bind_fault, bind_state, timestamp};
use super::{Fault, KeyState, RetryState, ordering_key};
use kafka::record::Record;
use sql::database::Database;
use sql::operation::retry_conflicts;

/// The only write transaction runs alone, so the key is blocked or free during the whole statement. A row behind the head is
/// not due.
const ADD_ON_SQLITE: &str = "
INSERT INTO retry_events (topic, partition, record_offset, record_timestamp, ordering_key, key, headers, payload,
                    fault_class, fault_message, attempts, first_failed_at, last_failed_at,
                    state, next_attempt_at, stored_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
       CASE WHEN $14 = 'WAITING' AND NOT blocked THEN unix_millis() + $15 END, unix_millis()
FROM (SELECT EXISTS (SELECT 1 FROM retry_events WHERE topic = $1 AND ordering_key = $5 AND state <> 'SKIPPED') AS blocked)
WHERE blocked OR NOT $16
ON CONFLICT DO NOTHING";

const LOOK_ON_SQLITE: &str = "
SELECT EXISTS (SELECT 1 FROM retry_events WHERE topic = $1 AND ordering_key = $5 AND state <> 'SKIPPED') AS blocked,
       EXISTS (SELECT 1 FROM retry_events WHERE topic = $1 AND partition = $2
               AND record_offset = $3 AND record_timestamp = $4) AS known";

/// `head` is locked until the row is committed: a transaction that removes the head waits, and then sees the row. A head that
/// was removed while this statement waited for its lock is missing in `head`, but not in `any_row`: then nothing is inserted
/// and the caller repeats the statement. A row behind the head is not due.
const ADD_ON_POSTGRES: &str = "
WITH head AS (
    SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $5 AND state <> 'SKIPPED'
    ORDER BY id LIMIT 1 FOR SHARE
), any_row AS (
    SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $5 AND state <> 'SKIPPED' LIMIT 1
), added AS (
    INSERT INTO retry_events (topic, partition, record_offset, record_timestamp, ordering_key, key, headers, payload,
                        fault_class, fault_message, attempts, first_failed_at, last_failed_at,
                        state, next_attempt_at, stored_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
           CASE WHEN $14 = 'WAITING' AND NOT EXISTS (SELECT FROM head) THEN unix_millis() + $15 END,
           unix_millis()
    WHERE EXISTS (SELECT FROM head) OR NOT ($16 OR EXISTS (SELECT FROM any_row))
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM head) AS held,
       EXISTS (SELECT FROM any_row) AS blocked,
       EXISTS (SELECT FROM retry_events WHERE topic = $1 AND partition = $2
               AND record_offset = $3 AND record_timestamp = $4) AS known";

/// Adds an event; one without a failure only if its key is blocked. The event of a free key may have been stored before and
/// skipped: then it must not be handled.
pub(super) async fn add(
    database: &Database,
    record: &Record,
    failure: Option<(&Fault, RetryState)>,
) -> Result<KeyState, sqlx::Error> {
    let insertion = Insertion { record, failure };
    // The futures of the drivers are large.
    let is_stored = match database {
        Database::Sqlite(_) => Box::pin(insertion.add_on_sqlite(database)).await?,
        Database::Postgres(_) => Box::pin(insertion.add_on_postgres(database)).await?,
    };
    Ok(if is_stored {
        KeyState::Blocked
    } else {
        KeyState::Free
    })
}

/// A row to be inserted.
struct Insertion<'a> {
    record: &'a Record,
    /// `None` for an event that is inserted only if its key is blocked.
    failure: Option<(&'a Fault, RetryState)>,
}

impl Insertion<'_> {
    async fn add_on_sqlite(&self, database: &Database) -> Result<bool, sqlx::Error> {
        // A free key must not cost the only write transaction.
        let found = self.look(&mut Connection::read(database).await?).await?;
        if found.known || (self.failure.is_none() && !found.blocked) {
            return Ok(found.known);
        }
        let mut transaction = Connection::transaction(database).await?;
        let add = transaction.query(ADD_ON_SQLITE);
        self.bind_row(add).execute().await?;
        let found = self.look(&mut transaction).await?;
        transaction.commit().await?;
        Ok(found.known)
    }

    async fn look(&self, connection: &mut Connection) -> Result<Found, sqlx::Error> {
        let look = connection.query(LOOK_ON_SQLITE);
        self.bind_identity(look).fetch_one().await
    }

    async fn add_on_postgres(&self, database: &Database) -> Result<bool, sqlx::Error> {
        let try_to_add = async || -> Result<Added, sqlx::Error> {
            let mut connection = Connection::statement(database).await?;
            let add = connection.query(ADD_ON_POSTGRES);
            self.bind_row(add).fetch_one().await
        };
        loop {
            let Added { held, found } = retry_conflicts(try_to_add).await?;
            // Repeated only after another transaction has removed a head.
            if held || !found.blocked {
                return Ok(held || found.known || self.failure.is_some());
            }
        }
    }

    /// `$1` to `$5`
    fn bind_identity<'c>(&self, query: Query<'c>) -> Query<'c> {
        query
            .bind(&self.record.topic)
            .bind(self.record.partition)
            .bind(self.record.offset)
            .bind(timestamp(self.record))
            .bind(ordering_key(self.record))
    }

    /// `$1` to `$16`
    fn bind_row<'c>(&self, query: Query<'c>) -> Query<'c> {
        let query = self
            .bind_identity(query)
            .bind(&self.record.key)
            .bind(self.record.headers.as_encoded())
            .bind(&self.record.payload);
        let query = bind_fault(query, self.failure.map(|(fault, _)| fault));
        let state = self.failure.map(|(_, state)| state);
        bind_state(query, state.unwrap_or(RetryState::DUE)).bind(self.failure.is_none())
    }
}

/// The state when the statement began.
#[derive(FromRow)]
struct Found {
    /// The key has events in the retry store.
    blocked: bool,
    /// The record is one of them, or was skipped.
    known: bool,
}

#[derive(FromRow)]
struct Added {
    /// The head of the key is there and locked.
    held: bool,
    #[sqlx(flatten)]
    found: Found,
}
