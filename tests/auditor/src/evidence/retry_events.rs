//! The retry stores of both services in one table. They name topics as the broker does, the table as the contract does.

use anyhow::Result;
use sqlx::SqliteConnection;

const LOAD: &str = "
    INSERT INTO temp.retry_events
    SELECT service, topic, partition, record_offset, topic || '/' || partition || '@' || record_offset,
           key, unhex(replace(CAST(key AS TEXT), '-', '')), state, fault_class, fault_message
    FROM (SELECT service, substr(topic, length(?1) + 1) AS topic, partition, record_offset, key, state, fault_class,
                 fault_message
          FROM (SELECT 'order-service' AS service, * FROM main.retry_events
                UNION ALL SELECT 'processing-service', * FROM processing.retry_events))";

pub(super) async fn load(connection: &mut SqliteConnection, prefix: &str) -> Result<()> {
    sqlx::query(LOAD).bind(prefix).execute(connection).await?;
    Ok(())
}
