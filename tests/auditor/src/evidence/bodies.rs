//! The protobuf columns of orders and sagas, decoded into tables.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use prost::Message as _;
use proto::orders::v1::{Order, OrderLine, OrderPlaced};
use sqlx::SqliteConnection;

use super::batch::{RowBatch, SqlValue};
use super::blob_id::uuid;

/// Rows per read, so that a large run does not have to fit into memory.
const PAGE: usize = 5_000;

const ORDERS: &str =
    "SELECT order_id, body FROM main.orders WHERE order_id > ? ORDER BY order_id LIMIT ?";

const SAGAS: &str =
    "SELECT order_id, lines FROM processing.sagas WHERE order_id > ? ORDER BY order_id LIMIT ?";

/// Decodes all order and saga bodies.
pub(super) async fn load(connection: &mut SqliteConnection) -> Result<()> {
    let orders = RowBatch::new("order_bodies", 5);
    decode_all(connection, ORDERS, orders, order).await?;
    let sagas = RowBatch::new("saga_bodies", 2);
    decode_all(connection, SAGAS, sagas, saga).await
}

async fn decode_all(
    connection: &mut SqliteConnection,
    page: &'static str,
    mut into: RowBatch,
    decode: fn(&[u8]) -> Result<Vec<SqlValue>>,
) -> Result<()> {
    let mut last = Vec::new();
    loop {
        let page: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as(page)
            .bind(last)
            .bind(i64::try_from(PAGE)?)
            .fetch_all(&mut *connection)
            .await?;
        let is_last = page.len() < PAGE;
        last = page.last().map(|(id, _)| id.clone()).unwrap_or_default();
        for (order_id, body) in page {
            let decoded = decode(&body);
            let decoded = decoded
                .with_context(|| format!("the body of order {} is damaged", uuid(&order_id)))?;
            let mut row = vec![order_id.into()];
            row.extend(decoded);
            into.push(connection, row).await?;
        }
        if is_last {
            return into.write(connection).await;
        }
    }
}

fn order(body: &[u8]) -> Result<Vec<SqlValue>> {
    let order = Order::decode(body)?;
    let total = order.total.context("it has no total")?;
    Ok(vec![
        lines(&order.lines)?.into(),
        pieces(&order.lines)?.into(),
        total.currency_code.into(),
        total.minor_units.into(),
    ])
}

fn saga(body: &[u8]) -> Result<Vec<SqlValue>> {
    let saga = OrderPlaced::decode(body)?;
    Ok(vec![pieces(&saga.lines)?.into()])
}

/// Lines in the format of the journal: [sku, quantity, price] in the order of the request.
pub(super) fn lines(lines: &[OrderLine]) -> Result<String> {
    let price = |line: &OrderLine| {
        line.unit_price
            .as_ref()
            .map_or(0, |price| price.minor_units)
    };
    let lines = lines.iter();
    let lines: Vec<_> = lines
        .map(|line| (&line.sku, line.quantity, price(line)))
        .collect();
    Ok(serde_json::to_string(&lines)?)
}

/// Pieces per SKU: an invoice may have a SKU in several lines.
fn pieces(lines: &[OrderLine]) -> Result<String> {
    let mut pieces = BTreeMap::new();
    for line in lines {
        *pieces.entry(&line.sku).or_insert(0_i64) += i64::from(line.quantity);
    }
    let pieces: Vec<_> = pieces.into_iter().collect();
    Ok(serde_json::to_string(&pieces)?)
}
