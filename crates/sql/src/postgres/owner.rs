//! The recorded owner of a PostgreSQL database.

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnection;

use super::{Postgres, Purpose};
use crate::owner::{MIGRATIONS, Owner};

impl Postgres {
    /// The recorded owner; none before the first migration.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn owner(&self) -> Result<Option<Owner>, sqlx::Error> {
        // Not from the pool, whose errors hide the reason of a failed connection attempt.
        let mut connection = self.connect(Purpose::Pooled).await?;
        recorded(&mut connection).await
    }

    /// Records the owner of a database that has none, and returns the recorded one: after concurrent first migrations it may
    /// be another. A database that has an owner is left unchanged.
    ///
    /// # Errors
    /// As [`Postgres::migrate`].
    pub async fn claim(&self, owner: &Owner) -> Result<Owner, MigrateError> {
        if let Some(recorded) = self.owner().await? {
            return Ok(recorded);
        }
        self.migrate_set(&MIGRATIONS).await?;
        let mut connection = self.connect(Purpose::Pooled).await?;
        let insert = "INSERT INTO installation (id, service, kafka_topic_prefix) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
        sqlx::query(insert)
            .bind(&owner.service)
            .bind(&owner.kafka_topic_prefix)
            .execute(&mut connection)
            .await?;
        let recorded = recorded(&mut connection).await?;
        Ok(recorded.ok_or(sqlx::Error::RowNotFound)?)
    }
}

async fn recorded(connection: &mut PgConnection) -> Result<Option<Owner>, sqlx::Error> {
    let exists = "SELECT to_regclass('installation') IS NOT NULL";
    let exists: bool = sqlx::query_scalar(exists)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(None);
    }
    let recorded: Option<(String, String)> =
        sqlx::query_as("SELECT service, kafka_topic_prefix FROM installation")
            .fetch_optional(connection)
            .await?;
    Ok(recorded.map(Owner::from))
}
