//! What processing-service did, read from its database: stock and payments. Reading only, as an auditor may.

use anyhow::{Context as _, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Row as _};
use uuid::Uuid;

use super::{Process, System, eventually};

/// Pieces of one SKU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Free to reserve.
    pub available: i64,
    /// Set aside for orders in work.
    pub reserved: i64,
    /// Gone to customers.
    pub shipped: i64,
}

impl System {
    /// The stock of a SKU.
    ///
    /// # Errors
    /// When the database cannot be read, or does not know the SKU.
    pub async fn stock(&self, sku: &str) -> Result<Stock> {
        let mut database = self.processing_database().await?;
        let row = sqlx::query("SELECT available, reserved, shipped FROM stock WHERE sku = ?")
            .bind(sku)
            .fetch_one(&mut database)
            .await
            .with_context(|| format!("cannot read the stock of {sku}"))?;
        Ok(Stock {
            available: row.try_get(0)?,
            reserved: row.try_get(1)?,
            shipped: row.try_get(2)?,
        })
    }

    /// The state of an order's payment, CAPTURED or REFUNDED; `None` when nothing was captured.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn payment(&self, order_id: &str) -> Result<Option<String>> {
        let order_id = Uuid::try_parse(order_id)?;
        let mut database = self.processing_database().await?;
        let row = sqlx::query("SELECT state FROM payments WHERE order_id = ?")
            .bind(order_id.as_bytes().as_slice())
            .fetch_optional(&mut database)
            .await
            .context("cannot read the payment")?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Waits until an order's payment is in this state.
    ///
    /// # Errors
    /// When the database cannot be read, or it takes too long.
    pub async fn payment_is(&self, order_id: &str, state: &str) -> Result<()> {
        eventually(&format!("the payment is {state}"), async || {
            let payment = self.payment(order_id).await?;
            Ok((payment.as_deref() == Some(state)).then_some(()))
        })
        .await
    }

    async fn processing_database(&self) -> Result<SqliteConnection> {
        SqliteConnectOptions::new()
            .filename(self.database(Process::Processing))
            .read_only(true)
            .connect()
            .await
            .context("cannot open the database of processing-service")
    }
}
