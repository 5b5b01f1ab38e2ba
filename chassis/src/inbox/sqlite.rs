//! The inbox on SQLite.

use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::SqliteConnection;

use super::InboxEntry;

/// Remembers the event in the caller's transaction; `false` when it was seen before.
pub async fn accept(
    connection: &mut SqliteConnection,
    entry: &InboxEntry,
) -> Result<bool, sqlx::Error> {
    let received_at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let inserted = sqlx::query(
        "INSERT INTO inbox (event_id, order_id, sequence, received_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(entry.event_id)
    .bind(entry.key)
    .bind(i64::try_from(entry.sequence).unwrap_or(i64::MAX))
    .bind(i64::try_from(received_at.as_millis()).unwrap_or(i64::MAX))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}
