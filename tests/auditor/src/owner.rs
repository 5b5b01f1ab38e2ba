//! The owner that a database records: one service of one installation. Evidence of two installations proves nothing.

use anyhow::{Context as _, Result, ensure};
use sqlx::SqliteConnection;

const RECORDED: &str = "
    SELECT 'order-service' AS expected, service, kafka_topic_prefix FROM main.installation
    UNION ALL SELECT 'processing-service', service, kafka_topic_prefix FROM processing.installation";

/// Fails unless the databases are those of the pair with this prefix.
pub(crate) async fn check(connection: &mut SqliteConnection, prefix: &str) -> Result<()> {
    let recorded: Vec<(String, String, String)> = sqlx::query_as(RECORDED)
        .fetch_all(connection)
        .await
        .context("a database has no owner")?;
    ensure!(recorded.len() == 2, "a database has no owner");
    for (expected, service, found) in recorded {
        ensure!(
            service == expected && found == prefix,
            "the database of {expected} belongs to {service} with KAFKA_TOPIC_PREFIX {found:?}, \
             the audit is of the installation with {prefix:?}"
        );
    }
    Ok(())
}
