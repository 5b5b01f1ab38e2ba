//! Writes the changes of a batch: one statement per table, however many orders the batch has.

use consumer::inbox;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::catalogue::{Catalogue, CatalogueEntry};
use crate::conversion;
use crate::domain::{CaptureId, Money, OrderId, ShipmentId, Sku, StockLevel};
use crate::store::processing_store::StoreError;
use crate::store::saga_row;
use crate::store::unit_of_work::{Changes, Saga};

/// Rows per statement, at most six parameters each: well below SQLite's limit of 32,766.
const ROWS_PER_STATEMENT: usize = 1_000;

pub(super) async fn changes(
    connection: &mut SqliteConnection,
    changes: &Changes,
    at: i64,
) -> Result<(), StoreError> {
    let stock: Vec<_> = changes.stock.iter().collect();
    for chunk in stock.chunks(ROWS_PER_STATEMENT) {
        move_stock(connection, chunk).await?;
    }
    open_sagas(connection, &changes.opened, at).await?;
    advance_sagas(connection, &changes.advanced, at).await?;
    insert_payments(connection, &changes.payments, at).await?;
    refund_payments(connection, &changes.refunds, at).await?;
    insert_shipments(connection, &changes.shipments, at).await?;
    outbox::sqlite::insert(connection, &changes.outbox).await?;
    inbox::sqlite::accept(connection, &changes.inbox).await?;
    Ok(())
}

/// The conditions repeat the batch's own check. If stock changes between read and write after all, the whole batch is
/// rolled back and no piece is sold twice.
async fn move_stock(
    connection: &mut SqliteConnection,
    moves: &[(&Sku, &StockLevel)],
) -> Result<(), StoreError> {
    let mut statement =
        QueryBuilder::<Sqlite>::new("WITH change (sku, available, reserved, shipped) AS (");
    statement.push_values(moves, |mut row, (sku, change)| {
        row.push_bind(sku.as_str())
            .push_bind(change.available)
            .push_bind(change.reserved)
            .push_bind(change.shipped);
    });
    statement.push(
        ") UPDATE stock SET available = stock.available + change.available, \
           reserved = stock.reserved + change.reserved, shipped = stock.shipped + change.shipped \
         FROM change WHERE stock.sku = change.sku \
           AND stock.available + change.available >= 0 AND stock.reserved + change.reserved >= 0",
    );
    let moved = execute(&mut statement, connection).await?;
    if moved < moves.len() as u64 {
        return Err(StoreError::StockChanged);
    }
    Ok(())
}

async fn open_sagas(
    connection: &mut SqliteConnection,
    sagas: &[(OrderId, Saga)],
    at: i64,
) -> Result<(), sqlx::Error> {
    for chunk in sagas.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new(
            "INSERT INTO sagas (order_id, state, reason, next_sequence, lines, updated_at) ",
        );
        statement.push_values(chunk, |mut row, (order_id, saga)| {
            let (state, reason) = saga_row::columns(saga.state);
            row.push_bind(order_id.as_uuid())
                .push_bind(state)
                .push_bind(reason)
                .push_bind(saga_row::next_sequence(saga))
                .push_bind(conversion::stored_order(*order_id, &saga.demand))
                .push_bind(at);
        });
        execute(&mut statement, connection).await?;
    }
    Ok(())
}

async fn advance_sagas(
    connection: &mut SqliteConnection,
    sagas: &[(OrderId, Saga)],
    at: i64,
) -> Result<(), sqlx::Error> {
    for chunk in sagas.chunks(ROWS_PER_STATEMENT) {
        let mut statement =
            QueryBuilder::<Sqlite>::new("WITH step (order_id, state, reason, next_sequence) AS (");
        statement.push_values(chunk, |mut row, (order_id, saga)| {
            let (state, reason) = saga_row::columns(saga.state);
            row.push_bind(order_id.as_uuid())
                .push_bind(state)
                .push_bind(reason)
                .push_bind(saga_row::next_sequence(saga));
        });
        statement.push(
            ") UPDATE sagas SET state = step.state, reason = step.reason, \
               next_sequence = step.next_sequence, updated_at = ",
        );
        statement.push_bind(at);
        statement.push(" FROM step WHERE sagas.order_id = step.order_id");
        execute(&mut statement, connection).await?;
    }
    Ok(())
}

async fn insert_payments(
    connection: &mut SqliteConnection,
    payments: &[(OrderId, CaptureId, Money)],
    at: i64,
) -> Result<(), sqlx::Error> {
    for chunk in payments.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new(
            "INSERT INTO payments (order_id, capture_id, state, currency, minor_units, updated_at) ",
        );
        statement.push_values(chunk, |mut row, (order_id, capture_id, amount)| {
            row.push_bind(order_id.as_uuid())
                .push_bind(capture_id.as_str())
                .push_bind("CAPTURED")
                .push_bind(amount.currency().to_string())
                .push_bind(amount.minor_units())
                .push_bind(at);
        });
        execute(&mut statement, connection).await?;
    }
    Ok(())
}

/// One row per statement: refunds are rare. No-op for an order that was never captured.
async fn refund_payments(
    connection: &mut SqliteConnection,
    orders: &[OrderId],
    at: i64,
) -> Result<(), sqlx::Error> {
    for order_id in orders {
        sqlx::query("UPDATE payments SET state = 'REFUNDED', updated_at = ? WHERE order_id = ?")
            .bind(at)
            .bind(order_id.as_uuid())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn insert_shipments(
    connection: &mut SqliteConnection,
    shipments: &[(OrderId, ShipmentId)],
    at: i64,
) -> Result<(), sqlx::Error> {
    for chunk in shipments.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new(
            "INSERT INTO shipments (order_id, shipment_id, created_at) ",
        );
        statement.push_values(chunk, |mut row, (order_id, shipment_id)| {
            row.push_bind(order_id.as_uuid())
                .push_bind(shipment_id.to_string())
                .push_bind(at);
        });
        execute(&mut statement, connection).await?;
    }
    Ok(())
}

pub(super) async fn seed(
    connection: &mut SqliteConnection,
    catalogue: &Catalogue,
) -> Result<u64, sqlx::Error> {
    let mut added = 0;
    for chunk in catalogue.entries().chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new(
            "INSERT INTO stock (sku, name, opening, available, reserved, shipped) ",
        );
        statement.push_values(chunk, |mut row, entry: &CatalogueEntry| {
            row.push_bind(entry.sku.as_str())
                .push_bind(&entry.name)
                .push_bind(entry.opening)
                .push_bind(entry.opening)
                .push_bind(0_i64)
                .push_bind(0_i64);
        });
        statement.push(" ON CONFLICT (sku) DO NOTHING");
        added += execute(&mut statement, connection).await?;
    }
    Ok(added)
}

/// Runs a statement whose text depends on the number of rows. It is not kept prepared: batches have every size, and the
/// statement cache would fill with texts that are rarely reused. (Measured: no slower.)
async fn execute(
    statement: &mut QueryBuilder<Sqlite>,
    connection: &mut SqliteConnection,
) -> Result<u64, sqlx::Error> {
    let done = statement
        .build()
        .persistent(false)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
