//! The retry stores of both services in one table.

use anyhow::Result;
use sqlx::SqliteConnection;

const LOAD: &str = "
    INSERT INTO temp.retry_events
    SELECT service, topic, partition, record_offset, topic || '/' || partition || '@' || record_offset,
           key, unhex(replace(CAST(key AS TEXT), '-', '')), state, fault_class, fault_message
    FROM (SELECT 'order-service' AS service, * FROM main.retry_events
          UNION ALL SELECT 'processing-service', * FROM processing.retry_events)";

pub(super) async fn load(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::query(LOAD).execute(connection).await?;
    Ok(())
}
