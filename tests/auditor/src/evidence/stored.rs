//! The parked events of both services. A database that has no such table is of a release that parks nothing.

use anyhow::Result;
use sqlx::SqliteConnection;

/// Copies both tables into one.
pub(super) async fn load(connection: &mut SqliteConnection) -> Result<()> {
    for (exists, copy, note) in [
        (
            "SELECT count(*) FROM main.sqlite_master WHERE name = 'parked'",
            "INSERT INTO temp.parked
             SELECT 'order-service', topic, partition, record_offset,
                    topic || '/' || partition || '@' || record_offset,
                    key, unhex(replace(CAST(key AS TEXT), '-', '')), state, fault_class, fault_message
             FROM main.parked",
            "INSERT INTO without_retry_store VALUES ('order-service')",
        ),
        (
            "SELECT count(*) FROM processing.sqlite_master WHERE name = 'parked'",
            "INSERT INTO temp.parked
             SELECT 'processing-service', topic, partition, record_offset,
                    topic || '/' || partition || '@' || record_offset,
                    key, unhex(replace(CAST(key AS TEXT), '-', '')), state, fault_class, fault_message
             FROM processing.parked",
            "INSERT INTO without_retry_store VALUES ('processing-service')",
        ),
    ] {
        let exists: i64 = sqlx::query_scalar(exists).fetch_one(&mut *connection).await?;
        let act = if exists > 0 { copy } else { note };
        sqlx::query(act).execute(&mut *connection).await?;
    }
    Ok(())
}
