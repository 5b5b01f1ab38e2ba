//! Events in, table out. A sale is a line of an order that was fulfilled, on the day (UTC) of its OrderFulfilled. The lines are
//! in OrderPlaced, on the other topic, and either may arrive first. A rejected or cancelled order is no sale.
//!
//! The inbox row and the effect are one transaction, so an event that is delivered again has no effect. Without the inbox it
//! would be added twice: `quantity + excluded.quantity` is not idempotent.

use std::sync::Arc;

use async_trait::async_trait;
use consumer::inbox::{InboxEntry, sqlite::accept};
use consumer::{Delivery, Failure, Handler};
use proto::event::{OrderEvent, ProcessingEvent};
use proto::orders::v1::OrderLine;
use proto::record::{self, EventMeta};
use sql::sqlite::Sqlite;
use time::OffsetDateTime;

/// Handles the events of both topics.
pub(crate) struct Projection(pub(crate) Arc<Sqlite>);

enum Fact {
    Placed(Vec<OrderLine>),
    Ended { is_sale: bool },
}

#[async_trait]
impl Handler for Projection {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        match decode(delivery)? {
            Some((event, fact)) => self.apply(&event, fact).await.map_err(Failure::retry),
            None => Ok(()),
        }
    }
}

/// `None` for an event that says nothing about sales. Each family reads the types of the other one as unknown.
fn decode(record: &Delivery) -> Result<Option<(EventMeta, Fact)>, Failure> {
    let (headers, payload) = (&record.headers, record.payload.as_deref());
    if let Some(order) = record::decode(headers, payload).map_err(Failure::reject)? {
        return Ok(match order.event {
            OrderEvent::OrderPlaced(placed) => Some((order.meta, Fact::Placed(placed.lines))),
            OrderEvent::CancellationRequested(_) => None,
        });
    }
    if let Some(outcome) = record::decode(headers, payload).map_err(Failure::reject)? {
        use ProcessingEvent as Is;
        let is_sale = match outcome.event {
            Is::StockReserved(_) | Is::PaymentCaptured(_) => return Ok(None),
            Is::OrderFulfilled(_) => true,
            Is::OrderRejected(_) | Is::OrderCancelled(_) => false,
        };
        return Ok(Some((outcome.meta, Fact::Ended { is_sale })));
    }
    // A type of a later release: skipped, unless it says that it must be understood.
    match record::decode_unknown(headers).map_err(Failure::reject)? {
        unknown if unknown.must_understand => Err(Failure::retry("unknown event type")),
        _ => Ok(None),
    }
}

impl Projection {
    async fn apply(&self, event: &EventMeta, fact: Fact) -> Result<(), sqlx::Error> {
        let (event_id, key, sequence) = (event.id, event.order_id, event.sequence);
        let entry = InboxEntry {
            event_id,
            key,
            sequence,
        };
        let mut transaction = self.0.begin().await?;
        if accept(&mut transaction, &[entry]).await?.is_empty() {
            return Ok(()); // Applied before; the transaction is rolled back.
        }
        match fact {
            Fact::Placed(lines) => {
                for line in lines {
                    let (quantity, price) = (line.quantity, line.unit_price.unwrap_or_default());
                    let insert =
                        sqlx::query("INSERT INTO placed_lines VALUES ($1, $2, $3, $4, $5)");
                    let insert = insert.bind(key).bind(line.sku).bind(quantity);
                    let insert = insert.bind(price.currency_code);
                    let insert = insert.bind(i64::from(quantity) * price.minor_units);
                    insert.execute(&mut *transaction).await?;
                }
            }
            Fact::Ended { is_sale } => {
                let day = is_sale.then(|| OffsetDateTime::from(event.time).date().to_string());
                let insert = sqlx::query("INSERT INTO ended_orders VALUES ($1, $2)");
                insert
                    .bind(key)
                    .bind(day)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        let has_both = sqlx::query_scalar(HAS_BOTH).bind(key);
        if has_both.fetch_one(&mut *transaction).await? {
            for statement in [ADD_SALES, FORGET_LINES, FORGET_ORDER] {
                sqlx::query(statement)
                    .bind(key)
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        transaction.commit().await
    }
}

const HAS_BOTH: &str = "SELECT EXISTS (SELECT 1 FROM placed_lines WHERE order_id = $1) \
     AND EXISTS (SELECT 1 FROM ended_orders WHERE order_id = $1)";
const ADD_SALES: &str = "INSERT INTO sales SELECT day, sku, currency, SUM(quantity), SUM(minor_units) \
     FROM placed_lines JOIN ended_orders USING (order_id) WHERE order_id = $1 AND day IS NOT NULL \
     GROUP BY day, sku, currency ON CONFLICT DO UPDATE \
     SET quantity = quantity + excluded.quantity, minor_units = minor_units + excluded.minor_units";
const FORGET_LINES: &str = "DELETE FROM placed_lines WHERE order_id = $1";
const FORGET_ORDER: &str = "DELETE FROM ended_orders WHERE order_id = $1";
