//! The inbox on SQLite.

use std::collections::HashSet;

use sqlx::{QueryBuilder, Row, SqliteConnection};
use uuid::Uuid;

use super::{InboxEntry, is_off};
use crate::attempts::unix_milliseconds;

/// Rows per statement: four parameters each, well below SQLite's limit of 32,766.
const ROWS_PER_STATEMENT: usize = 1_000;

/// Inserts the events in the caller's transaction and returns the ids of the new ones.
///
/// # Errors
/// When the database fails.
pub async fn accept(
    connection: &mut SqliteConnection,
    entries: &[InboxEntry],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    if is_off() {
        return Ok(entries.iter().map(|entry| entry.event_id).collect());
    }
    let now = unix_milliseconds();
    let mut new = HashSet::with_capacity(entries.len());
    for chunk in entries.chunks(ROWS_PER_STATEMENT) {
        let mut statement =
            QueryBuilder::new("INSERT INTO inbox (event_id, entity_id, sequence, received_at) ");
        statement.push_values(chunk, |mut row, entry| {
            row.push_bind(entry.event_id)
                .push_bind(entry.key)
                .push_bind(entry.stored_sequence())
                .push_bind(now);
        });
        statement.push(" ON CONFLICT DO NOTHING RETURNING event_id");
        for row in statement.build().fetch_all(&mut *connection).await? {
            new.insert(row.try_get("event_id")?);
        }
    }
    Ok(new)
}
