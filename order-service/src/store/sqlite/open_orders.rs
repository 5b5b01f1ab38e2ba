//! Orders without a final state.

use std::sync::Arc;

use async_trait::async_trait;
use sql::sqlite::{Row, for_keys, multi_row};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::SqliteStore;
use crate::domain::{EventType, HistoryEntry, Order, OrderId, Timestamp};
use crate::store::error::StoreError;
use crate::store::open_orders::{
    self as shared, AuditEntry, NotRepublished, OpenOrders, Publication,
};
use crate::store::order_store::PlaceOrder;
use crate::store::rows::{self, EntryRow, OrderRow};

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    new: &[&PlaceOrder],
) -> Result<(), sqlx::Error> {
    let insert = "INSERT INTO open_orders (order_id, created_at, payment_token) ";
    let bind = |mut row: Row<'_>, command: &&PlaceOrder| {
        row.push_bind(command.order.id.as_uuid())
            .push_bind(command.order.created_at.unix_millis())
            .push_bind(command.payment_token.expose());
    };
    for mut statement in multi_row(insert, new, bind, "") {
        statement.build().execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn delete(
    connection: &mut SqliteConnection,
    ended: &[OrderId],
) -> Result<(), sqlx::Error> {
    let delete = "DELETE FROM open_orders WHERE order_id IN";
    for mut statement in for_keys(delete, ended, |order_id| order_id.as_uuid()) {
        statement.build().execute(&mut *connection).await?;
    }
    Ok(())
}

#[async_trait]
impl OpenOrders for SqliteStore {
    async fn oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        let read = sqlx::query_scalar(shared::OLDEST).fetch_optional(self.database.reader());
        let oldest = self.operations.oldest_open.run(1, read).await?;
        Ok(oldest.map(Timestamp::from_unix_millis))
    }

    async fn list(
        &self,
        placed_before: Timestamp,
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<OrderId>, StoreError> {
        let list = sqlx::query_scalar(shared::LIST)
            .bind(placed_before.unix_millis())
            .bind(after.map_or(Uuid::nil(), OrderId::as_uuid))
            .bind(i64::from(limit));
        let read = list.fetch_all(self.database.reader());
        let ids: Vec<Uuid> = self.operations.list_open.run(1, read).await?;
        Ok(ids.into_iter().map(OrderId::new).collect())
    }

    async fn republish(
        &self,
        order_id: OrderId,
        publication: Publication<'_>,
    ) -> Result<Result<Vec<EventType>, NotRepublished>, StoreError> {
        let republish = async {
            let mut transaction = match publication {
                // Beside the writer of the running service.
                Publication::DryRun => self.database.reader().begin().await?,
                Publication::By { .. } => self.database.begin().await?,
            };
            let again = read(&mut transaction, order_id).await?;
            let (types, records): (Vec<_>, Vec<_>) = match again {
                Ok(events) => events.into_iter().unzip(),
                Err(refusal) => return Ok(Err(refusal)),
            };
            if let Publication::By { actor, at } = publication {
                let records: Vec<_> = records.into_iter().map(Arc::new).collect();
                outbox::sqlite::insert(&mut transaction, &records).await?;
                sqlx::query(shared::WRITE_AUDIT)
                    .bind(at.unix_millis())
                    .bind(actor)
                    .bind(order_id.as_uuid())
                    .bind(shared::named(&types))
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await?;
            }
            Ok(Ok(types))
        };
        self.operations.republish.run(1, republish).await
    }

    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let read = sqlx::query_as(shared::READ_AUDIT).bind(i64::from(limit));
        let read = read.fetch_all(self.database.reader());
        self.operations.audit.run(1, read).await
    }
}

async fn read(
    connection: &mut SqliteConnection,
    order_id: OrderId,
) -> Result<shared::EventsAgain, sqlx::Error> {
    let id = order_id.as_uuid();
    let order: Option<OrderRow> = sqlx::query_as(rows::ORDER)
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let order = order.map(Order::try_from).transpose()?;
    let token: Option<String> = sqlx::query_scalar(shared::PAYMENT_TOKEN)
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let entries: Vec<EntryRow> = sqlx::query_as(rows::HISTORY)
        .bind(id)
        .bind(0_i64)
        .bind(shared::MAX_ENTRIES)
        .fetch_all(connection)
        .await?;
    let history: Vec<HistoryEntry> = rows::read(entries)?;
    shared::events_again(order_id, order.as_ref(), token, &history)
}
