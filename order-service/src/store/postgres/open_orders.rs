//! Orders without a final state.

use std::sync::Arc;

use async_trait::async_trait;
use sql::operation::{self, bounded};
use sqlx::PgConnection;
use uuid::Uuid;

use super::PostgresStore;
use crate::domain::{EventType, HistoryEntry, Order, OrderId, Timestamp};
use crate::store::error::StoreError;
use crate::store::open_orders::{
    self as shared, AuditEntry, NotRepublished, OpenOrders, Publication,
};
use crate::store::rows::{self, EntryRow, OrderRow};

/// As [`rows::ORDER`], behind the lock of the order: its events must follow those that are in the outbox.
const LOCKED_ORDER: &str = "
    SELECT order_id, customer_id, status, rejection_reason, version, body, availability, created_at, updated_at
    FROM orders WHERE order_id = $1 FOR UPDATE";

#[async_trait]
impl OpenOrders for PostgresStore {
    async fn oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        let read = sqlx::query_scalar(shared::OLDEST).fetch_optional(self.database.pool());
        let oldest = self.operations.oldest_open.run(1, bounded(read)).await?;
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
        let read = list.fetch_all(self.database.pool());
        let ids: Vec<Uuid> = self.operations.list_open.run(1, bounded(read)).await?;
        Ok(ids.into_iter().map(OrderId::new).collect())
    }

    async fn republish(
        &self,
        order_id: OrderId,
        publication: Publication<'_>,
    ) -> Result<Result<Vec<EventType>, NotRepublished>, StoreError> {
        let republish = || async {
            let mut transaction = self.database.pool().begin().await?;
            let query = match publication {
                Publication::DryRun => rows::ORDER,
                Publication::By { .. } => LOCKED_ORDER,
            };
            let again = read(&mut transaction, order_id, query).await?;
            let (types, records): (Vec<_>, Vec<_>) = match again {
                Ok(events) => events.into_iter().unzip(),
                Err(refusal) => return Ok(Err(refusal)),
            };
            if let Publication::By { actor, at } = publication {
                let records: Vec<_> = records.into_iter().map(Arc::new).collect();
                outbox::postgres::insert(&mut transaction, &records).await?;
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
        let operation = &self.operations.republish;
        let done = operation::run(&operation.statement, 1, republish).await;
        done.map_err(|error| operation.failed(error))
    }

    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let read = sqlx::query_as(shared::READ_AUDIT).bind(i64::from(limit));
        let read = read.fetch_all(self.database.pool());
        self.operations.audit.run(1, bounded(read)).await
    }
}

async fn read(
    connection: &mut PgConnection,
    order_id: OrderId,
    query: &'static str,
) -> Result<shared::EventsAgain, sqlx::Error> {
    let id = order_id.as_uuid();
    let order: Option<OrderRow> = sqlx::query_as(query)
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
