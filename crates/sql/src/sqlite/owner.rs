//! The recorded owner of a SQLite file.

use sqlx::SqlitePool;

use super::OpenError;
use crate::owner::{MIGRATIONS, Owner};

/// Records the owner of a file that has none. The only writer: a service holds its file alone.
///
/// # Errors
/// [`OpenError::Owner`] if the file belongs to another service or installation; it is left unchanged.
pub(super) async fn claim(writer: &SqlitePool, owner: &Owner) -> Result<(), OpenError> {
    if recorded(writer).await?.is_none() {
        MIGRATIONS.tolerant(MIGRATIONS.sqlite).run(writer).await?;
        // A command beside the service may have been first.
        let insert = "INSERT INTO installation (id, service, kafka_topic_prefix) VALUES (1, ?, ?) ON CONFLICT DO NOTHING";
        sqlx::query(insert)
            .bind(&owner.service)
            .bind(&owner.kafka_topic_prefix)
            .execute(writer)
            .await?;
    }
    match recorded(writer).await? {
        Some(recorded) => Ok(owner.require(recorded)?),
        None => Err(OpenError::Open(sqlx::Error::RowNotFound)),
    }
}

async fn recorded(writer: &SqlitePool) -> Result<Option<Owner>, sqlx::Error> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'installation')";
    let exists: bool = sqlx::query_scalar(exists).fetch_one(writer).await?;
    if !exists {
        return Ok(None);
    }
    let recorded: Option<(String, String)> =
        sqlx::query_as("SELECT service, kafka_topic_prefix FROM installation")
            .fetch_optional(writer)
            .await?;
    Ok(recorded.map(Owner::from))
}
