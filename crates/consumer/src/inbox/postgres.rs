//! The inbox on PostgreSQL.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{InboxEntry, is_off};

/// Inserts the events in the caller's transaction and returns the ids of the new ones.
///
/// # Errors
/// When the database fails.
pub async fn accept(
    connection: &mut PgConnection,
    entries: &[InboxEntry],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    if entries.is_empty() {
        return Ok(HashSet::new());
    }
    if is_off() {
        return Ok(entries.iter().map(|entry| entry.event_id).collect());
    }
    let event_ids: Vec<Uuid> = entries.iter().map(|entry| entry.event_id).collect();
    let keys: Vec<Uuid> = entries.iter().map(|entry| entry.key).collect();
    let sequences: Vec<i64> = entries.iter().map(InboxEntry::stored_sequence).collect();
    let new = sqlx::query_scalar(
        "INSERT INTO inbox (event_id, entity_id, sequence, received_at) \
         SELECT event_id, entity_id, sequence, unix_millis() \
         FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[]) AS entry (event_id, entity_id, sequence) \
         ORDER BY event_id ON CONFLICT DO NOTHING RETURNING event_id",
    )
    .bind(event_ids)
    .bind(keys)
    .bind(sequences)
    .fetch_all(connection)
    .await?;
    Ok(new.into_iter().collect())
}
