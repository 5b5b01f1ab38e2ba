//! The store on SQLite: a batch costs one statement per table that it touches, however many orders it has.
//!
//! There is one writer, and its transaction takes the write lock when it begins: a row lock is not needed, and reads use
//! the same queries as the transaction.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use consumer::inbox;
use outbox::InsertedRows;
use sql::sqlite::{Row, Sqlite, WriteTransaction, for_keys, multi_row};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Sqlite as Driver, SqliteConnection};

use super::engine::Engine;
use super::processing_store::StoreError;
use super::rows::{self, PaymentRow};
use super::unit_of_work::{Changes, Saga};
use crate::catalogue::{Catalogue, CatalogueEntry};
use crate::domain::{OrderId, Sku, StockLevel};

mod write;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// A database file.
#[derive(Clone, Debug)]
pub(super) struct SqliteEngine(pub(super) Arc<Sqlite>);

#[async_trait]
impl Engine for SqliteEngine {
    type Driver = Driver;

    async fn begin(&self) -> Result<WriteTransaction, sqlx::Error> {
        self.0.begin().await
    }

    async fn lock_sagas(
        connection: &mut SqliteConnection,
        orders: &BTreeSet<OrderId>,
    ) -> Result<HashMap<OrderId, Saga>, StoreError> {
        let orders: Vec<_> = orders.iter().collect();
        let select =
            "SELECT order_id, state, reason, next_sequence, lines FROM sagas WHERE order_id IN";
        let statements = for_keys(select, &orders, |order_id| order_id.as_uuid());
        rows::sagas(fetch(statements, connection).await?)
    }

    async fn payment(
        connection: &mut SqliteConnection,
        order_id: OrderId,
    ) -> Result<Option<PaymentRow>, sqlx::Error> {
        let payment = sqlx::query_as(rows::PAYMENT).bind(order_id.as_uuid());
        payment.fetch_optional(connection).await
    }

    async fn lock_stock(
        connection: &mut SqliteConnection,
        skus: &BTreeSet<Sku>,
    ) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        let keys: Vec<_> = skus.iter().collect();
        let select = "SELECT sku, available, reserved, shipped FROM stock WHERE sku IN";
        let statements = for_keys(select, &keys, |sku| sku.as_str());
        Ok(rows::levels(fetch(statements, connection).await?, skus))
    }

    async fn write(
        connection: &mut SqliteConnection,
        changes: &Changes,
        at: i64,
    ) -> Result<InsertedRows, StoreError> {
        write::move_stock(connection, &changes.stock).await?;
        write::open_sagas(connection, &changes.opened, at).await?;
        write::advance_sagas(connection, &changes.advanced, at).await?;
        write::insert_payments(connection, &changes.payments, at).await?;
        write::refund_payments(connection, &changes.refunds, at).await?;
        write::insert_shipments(connection, &changes.shipments, at).await?;
        let inserted = outbox::sqlite::insert(connection, &changes.outbox).await?;
        inbox::sqlite::accept(connection, &changes.inbox).await?;
        Ok(inserted)
    }

    async fn seed(
        connection: &mut SqliteConnection,
        catalogue: &Catalogue,
    ) -> Result<u64, sqlx::Error> {
        let insert = "INSERT INTO stock (sku, name, opening, available, reserved, shipped) ";
        let bind = |mut row: Row<'_>, entry: &CatalogueEntry| {
            row.push_bind(entry.sku.as_str())
                .push_bind(&entry.name)
                .push_bind(entry.opening)
                .push_bind(entry.opening)
                .push("0, 0");
        };
        let keep_others = " ON CONFLICT (sku) DO NOTHING";
        let inserts = multi_row(insert, catalogue.entries(), bind, keep_others);
        write::execute(inserts, connection).await
    }

    async fn saga(&self, order_id: OrderId) -> Result<Option<Saga>, StoreError> {
        let mut connection = self.0.reader().acquire().await?;
        let mut sagas = Self::lock_sagas(&mut connection, &BTreeSet::from([order_id])).await?;
        Ok(sagas.remove(&order_id))
    }

    async fn stock(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        let mut connection = self.0.reader().acquire().await?;
        Self::lock_stock(&mut connection, skus).await
    }
}

/// The text of a statement depends on the number of keys, so it is not kept prepared.
async fn fetch<R>(
    statements: impl Iterator<Item = QueryBuilder<Driver>>,
    connection: &mut SqliteConnection,
) -> Result<Vec<R>, sqlx::Error>
where
    R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let mut rows = Vec::new();
    for mut statement in statements {
        let query = statement.build_query_as().persistent(false);
        rows.extend(query.fetch_all(&mut *connection).await?);
    }
    Ok(rows)
}
