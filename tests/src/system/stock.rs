//! Stock and payments, read from processing-service's database.

use anyhow::{Context as _, Result};
use auditor::database::DatabaseReader;
use uuid::Uuid;

use super::{Service, System, eventually};

/// Both engines support numbered parameters.
const STOCK: &str = "SELECT available, reserved, shipped FROM stock WHERE sku = $1";
const PAYMENT: &str = "SELECT state FROM payments WHERE order_id = $1";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    pub available: i64,
    /// Reserved for orders in progress.
    pub reserved: i64,
    /// Shipped to customers.
    pub shipped: i64,
}

impl System {
    ///
    /// # Errors
    /// When the database cannot be read, or does not know the SKU.
    pub async fn stock(&self, sku: &str) -> Result<Stock> {
        let stock: (i64, i64, i64) = match self.processing_database().await? {
            DatabaseReader::Sqlite(mut connection) => {
                let query = sqlx::query_as(STOCK).bind(sku);
                query.fetch_one(&mut connection).await
            }
            DatabaseReader::Postgres(mut connection) => {
                let query = sqlx::query_as(STOCK).bind(sku);
                query.fetch_one(&mut connection).await
            }
        }
        .with_context(|| format!("cannot read the stock of {sku}"))?;
        let (available, reserved, shipped) = stock;
        Ok(Stock {
            available,
            reserved,
            shipped,
        })
    }

    /// The state of an order's payment, CAPTURED or REFUNDED; `None` when nothing was captured.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn payment(&self, order_id: &str) -> Result<Option<String>> {
        let order_id = Uuid::try_parse(order_id)?;
        match self.processing_database().await? {
            DatabaseReader::Sqlite(mut connection) => {
                let query = sqlx::query_scalar(PAYMENT).bind(order_id);
                query.fetch_optional(&mut connection).await
            }
            DatabaseReader::Postgres(mut connection) => {
                let query = sqlx::query_scalar(PAYMENT).bind(order_id);
                query.fetch_optional(&mut connection).await
            }
        }
        .context("cannot read the payment")
    }

    /// Waits until an order's payment has this state.
    ///
    /// # Errors
    /// When the database cannot be read, or on timeout.
    pub async fn payment_is(&self, order_id: &str, state: &str) -> Result<()> {
        eventually(&format!("the payment is {state}"), async || {
            let payment = self.payment(order_id).await?;
            Ok((payment.as_deref() == Some(state)).then_some(()))
        })
        .await
    }

    async fn processing_database(&self) -> Result<DatabaseReader> {
        self.stack.database(Service::Processing).reader().await
    }
}
