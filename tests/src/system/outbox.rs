//! Committed and unpublished events of a service, read from its database.

use anyhow::{Context as _, Result};

use super::{Service, System};

const ROWS: &str = "SELECT count(*) FROM outbox";

impl System {
    /// Number of rows in the outbox of a service of the pair.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unpublished(&self, service: Service) -> Result<u64> {
        let rows = async {
            let mut database = self.stack.database(service).reader().await?;
            database.number(ROWS).await
        };
        let rows = rows
            .await
            .with_context(|| format!("cannot read the outbox of {service}"))?;
        Ok(u64::try_from(rows)?)
    }
}
