//! Rules that add up: pieces of stock, amounts of money, and events that still have to be published.
//!
//! What an order asked for is taken from order-service; what was done about it from processing-service.

use std::collections::BTreeMap;

use anyhow::Context;
use futures::TryStreamExt;
use prost::Message;
use proto::orders::v1::{Order, OrderLine, OrderPlaced};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::Findings;
use super::evidence::{Evidence, uuid};

/// Pieces by SKU.
type Pieces = BTreeMap<String, i64>;

/// What does not add up, a sentence each.
pub(super) async fn check(evidence: &mut Evidence) -> anyhow::Result<Vec<String>> {
    let mut sentences = Vec::new();
    let shipped = fulfilled(evidence, &mut sentences).await?;
    let held = held(evidence).await?;
    sentences.extend(stock(evidence, &shipped, &held).await?);
    sentences.extend(outboxes(evidence).await?);
    Ok(sentences)
}

/// Checks every fulfilled order against what was processed for it, and adds up its pieces.
async fn fulfilled(evidence: &mut Evidence, sentences: &mut Vec<String>) -> anyhow::Result<Pieces> {
    let mut rows = sqlx::query(
        "SELECT order_id, orders.body, sagas.lines, payments.currency, payments.minor_units
         FROM orders
         LEFT JOIN processing.sagas USING (order_id)
         LEFT JOIN processing.payments USING (order_id)
         WHERE orders.status = 'FULFILLED'",
    )
    .fetch(&mut evidence.connection);
    let mut findings = Findings::default();
    let mut shipped = Pieces::new();
    while let Some(row) = rows.try_next().await? {
        let order = FulfilledOrder::read(&row)?;
        for fault in order.faults() {
            findings.add(format!("order {} {fault}", order.order_id));
        }
        for (sku, pieces) in &order.ordered {
            *shipped.entry(sku.clone()).or_default() += pieces;
        }
    }
    sentences.extend(findings.into_sentences());
    Ok(shipped)
}

/// A fulfilled order as both services have it.
struct FulfilledOrder {
    order_id: String,
    ordered: Pieces,
    /// What processing took it for; `None` without a saga, which is another rule's finding.
    processed: Option<Pieces>,
    total: (String, i64),
    /// `None` without a payment, which is another rule's finding.
    paid: Option<(String, i64)>,
}

impl FulfilledOrder {
    fn read(row: &SqliteRow) -> anyhow::Result<Self> {
        let order_id = uuid(row.try_get(0)?);
        let context = || format!("order {order_id} is damaged");
        let body = Order::decode(row.try_get::<&[u8], _>(1)?).with_context(context)?;
        let saga: Option<&[u8]> = row.try_get(2)?;
        let saga = saga.map(OrderPlaced::decode).transpose();
        let saga = saga.with_context(context)?;
        let currency: Option<String> = row.try_get(3)?;
        let amount: Option<i64> = row.try_get(4)?;
        let total = body.total.with_context(context)?;
        Ok(Self {
            ordered: pieces(&body.lines),
            processed: saga.map(|saga| pieces(&saga.lines)),
            total: (total.currency_code, total.minor_units),
            paid: currency.zip(amount),
            order_id,
        })
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self
            .processed
            .as_ref()
            .is_some_and(|it| *it != self.ordered)
        {
            faults.push("was processed with other lines than were ordered".to_owned());
        }
        if let Some((currency, amount)) = &self.paid
            && (currency, amount) != (&self.total.0, &self.total.1)
        {
            faults.push(format!(
                "costs {} {}, but {amount} {currency} were captured (minor units)",
                self.total.1, self.total.0
            ));
        }
        faults
    }
}

/// Pieces that orders under way hold.
async fn held(evidence: &mut Evidence) -> anyhow::Result<Pieces> {
    let mut rows = sqlx::query(
        "SELECT order_id, lines FROM processing.sagas
         WHERE state IN ('RESERVED', 'CAPTURED', 'COMPENSATING')",
    )
    .fetch(&mut evidence.connection);
    let mut held = Pieces::new();
    while let Some(row) = rows.try_next().await? {
        let lines: &[u8] = row.try_get(1)?;
        let saga = OrderPlaced::decode(lines).with_context(|| {
            let order_id = row.try_get(0).map(uuid).unwrap_or_default();
            format!("the saga of order {order_id} is damaged")
        })?;
        for (sku, pieces) in pieces(&saga.lines) {
            *held.entry(sku).or_default() += pieces;
        }
    }
    Ok(held)
}

fn pieces(lines: &[OrderLine]) -> Pieces {
    let mut pieces = Pieces::new();
    for line in lines {
        *pieces.entry(line.sku.clone()).or_default() += i64::from(line.quantity);
    }
    pieces
}

/// Every piece is available, reserved or shipped, and no piece is two of these.
async fn stock(
    evidence: &mut Evidence,
    shipped: &Pieces,
    held: &Pieces,
) -> anyhow::Result<Vec<String>> {
    let mut rows = sqlx::query(
        "SELECT sku, opening, available, reserved, shipped FROM processing.stock ORDER BY sku",
    )
    .fetch(&mut evidence.connection);
    let mut findings = Findings::default();
    let mut unstocked: Pieces = shipped.clone();
    while let Some(row) = rows.try_next().await? {
        let stock = Stock::read(&row)?;
        let wanted = |pieces: &Pieces| pieces.get(&stock.sku).copied().unwrap_or(0);
        for fault in stock.faults(wanted(shipped), wanted(held)) {
            findings.add(format!("SKU {}: {fault}", stock.sku));
        }
        unstocked.remove(&stock.sku);
    }
    for (sku, pieces) in unstocked {
        findings.add(format!(
            "SKU {sku}: {pieces} pieces were shipped of what was never in stock"
        ));
    }
    Ok(findings.into_sentences())
}

struct Stock {
    sku: String,
    opening: i64,
    available: i64,
    reserved: i64,
    shipped: i64,
}

impl Stock {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            sku: row.try_get(0)?,
            opening: row.try_get(1)?,
            available: row.try_get(2)?,
            reserved: row.try_get(3)?,
            shipped: row.try_get(4)?,
        })
    }

    fn faults(&self, shipped: i64, held: i64) -> Vec<String> {
        let Self {
            opening,
            available,
            reserved,
            shipped: said_shipped,
            ..
        } = self;
        let mut faults = Vec::new();
        if *opening != available + reserved + said_shipped {
            faults.push(format!(
                "{available} available, {reserved} reserved and {said_shipped} shipped pieces do not add up to the \
                 opening stock of {opening}"
            ));
        }
        if *reserved != held {
            faults.push(format!(
                "{reserved} pieces are reserved, but orders under way hold {held}"
            ));
        }
        if *said_shipped != shipped {
            faults.push(format!(
                "{said_shipped} pieces are shipped, but fulfilled orders asked for {shipped}"
            ));
        }
        faults
    }
}

/// Nothing waits to be published any more.
async fn outboxes(evidence: &mut Evidence) -> anyhow::Result<Vec<String>> {
    let rows = sqlx::query(
        "SELECT 'order-service', count(*), min(key) FROM main.outbox
         UNION ALL SELECT 'processing-service', count(*), min(key) FROM processing.outbox",
    )
    .fetch_all(&mut evidence.connection)
    .await?;
    let mut sentences = Vec::new();
    for row in rows {
        let (service, events): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        if events > 0 {
            let order: String = row.try_get(2)?;
            sentences.push(format!(
                "{service}: {events} events were never published, one of them of order {order}"
            ));
        }
    }
    Ok(sentences)
}
