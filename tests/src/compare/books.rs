//! What processing-service did, from its database: the other side of what users were told.
//!
//! The auditor needs the databases of both services, and runs for the hybrid way at its end. This check of the same kind needs
//! only what every way has: the sagas, the shipments and the stock.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use auditor::database::DatabaseReader;
use uuid::Uuid;

use super::site::Site;
use super::way::Way;
use crate::stack::Service;

const SAGAS: &str = "SELECT order_id, state FROM sagas";
const REQUESTS: &str = "SELECT request_id, order_id FROM orders";
const SHIPMENTS: &str = "SELECT count(*) FROM shipments";
const SHIPPED: &str = "SELECT CAST(coalesce(sum(shipped), 0) AS BIGINT) FROM stock";

/// Work in progress in processing-service.
const UNFINISHED: &str = "
    SELECT (SELECT count(*) FROM sagas WHERE state NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED'))
         + (SELECT count(*) FROM outbox)";

/// Orders of order-service without an outcome, and its unpublished events.
const OPEN: &str = "SELECT (SELECT count(*) FROM open_orders) + (SELECT count(*) FROM outbox)";

/// The rows at one moment.
#[derive(Debug)]
pub(super) struct Books {
    /// State of the saga, by the id that the client chose.
    states: HashMap<Uuid, String>,
    pub(super) shipments: i64,
    /// Pieces over all SKUs.
    pub(super) shipped: i64,
}

impl Books {
    pub(super) async fn read(site: &Site) -> Result<Self> {
        let mut processing = site.stack.database(Service::Processing).reader().await?;
        let mut states: HashMap<Uuid, String> = HashMap::new();
        let sagas = rows::<String>(&mut processing, SAGAS).await?;
        let sagas: HashMap<Uuid, String> = sagas.into_iter().collect();
        if site.way == Way::Hybrid {
            let mut orders = site.stack.database(Service::Orders).reader().await?;
            for (request_id, order_id) in rows::<Uuid>(&mut orders, REQUESTS).await? {
                let state = sagas.get(&order_id).cloned();
                states.insert(request_id, state.unwrap_or_default());
            }
        } else {
            states = sagas;
        }
        Ok(Self {
            states,
            shipments: processing.number(SHIPMENTS).await?,
            shipped: processing.number(SHIPPED).await?,
        })
    }

    pub(super) fn is_fulfilled(&self, id: Uuid) -> bool {
        self.states
            .get(&id)
            .is_some_and(|state| state == "FULFILLED")
    }

    pub(super) fn is_final(&self, id: Uuid) -> bool {
        let finals = ["FULFILLED", "REJECTED", "CANCELLED"];
        let state = self.states.get(&id);
        state.is_some_and(|state| finals.contains(&state.as_str()))
    }

    /// Whether the order was begun and is not ended: its stock is reserved.
    pub(super) fn is_half_done(&self, id: Uuid) -> bool {
        self.states.contains_key(&id) && !self.is_final(id)
    }
}

/// Rows in progress in the databases of a way.
pub(super) async fn unfinished(site: &Site) -> Result<i64> {
    let mut processing = site.stack.database(Service::Processing).reader().await?;
    let sagas = processing.number(UNFINISHED).await?;
    if site.way != Way::Hybrid {
        return Ok(sagas);
    }
    let mut orders = site.stack.database(Service::Orders).reader().await?;
    Ok(sagas + orders.number(OPEN).await?)
}

async fn rows<T>(reader: &mut DatabaseReader, sql: &'static str) -> Result<Vec<(Uuid, T)>>
where
    T: Send + Unpin,
    (Uuid, T): for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>
        + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    let rows = match reader {
        DatabaseReader::Sqlite(connection) => sqlx::query_as(sql).fetch_all(connection).await,
        DatabaseReader::Postgres(connection) => sqlx::query_as(sql).fetch_all(connection).await,
    };
    rows.with_context(|| format!("cannot read the books: {sql}"))
}
