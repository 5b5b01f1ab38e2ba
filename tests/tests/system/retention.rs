//! Old rows are pruned while orders are placed and processed.

use anyhow::Result;
use auditor::database::Database;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tests::system::{Service, System, eventually};

/// Frequent rounds and small batches, so that many of them run beside the load.
const PRUNING: [(Service, &str, &str); 4] = [
    (Service::Orders, "PRUNE_INTERVAL", "100ms"),
    (Service::Orders, "PRUNE_BATCH", "20"),
    (Service::Processing, "PRUNE_INTERVAL", "100ms"),
    (Service::Processing, "PRUNE_BATCH", "20"),
];

/// 500 orders of the year 1970, fulfilled. `$id` is a UUID from the number n.
const OLD_ORDERS: &str = "
INSERT INTO orders (order_id, customer_id, request_id, fingerprint, status, version, processing_sequence, body,
                    availability, created_at, updated_at)
SELECT $id, 'old', $id, $fingerprint, 'FULFILLED', 4, 3, $empty, 'CONFIRMED', 1000, 1000 FROM $numbers;
INSERT INTO order_events (order_id, version, event_id, event_type, status, occurred_at)
SELECT order_id, version, order_id, 'OrderFulfilled', 'FULFILLED', 1000 FROM orders WHERE customer_id = 'old';
INSERT INTO inbox (event_id, entity_id, sequence, received_at) SELECT $id, $id, 3, 1000 FROM $numbers;";

const OLD_SAGAS: &str = "
INSERT INTO sagas (order_id, state, next_sequence, lines, updated_at)
SELECT $id, 'FULFILLED', 4, $empty, 1000 FROM $numbers;
INSERT INTO payments (order_id, capture_id, state, currency, minor_units, updated_at)
SELECT $id, 'cap', 'CAPTURED', 'GBP', 1, 1000 FROM $numbers;
INSERT INTO shipments (order_id, shipment_id, created_at) SELECT $id, 'shp', 1000 FROM $numbers;
INSERT INTO inbox (event_id, entity_id, sequence, received_at) SELECT $id, $id, 1, 1000 FROM $numbers;";

const OLD_ROWS_OF_ORDERS: &str = "
SELECT (SELECT count(*) FROM orders WHERE updated_at = 1000)
     + (SELECT count(*) FROM order_events WHERE occurred_at = 1000)
     + (SELECT count(*) FROM inbox WHERE received_at = 1000)";

const OLD_ROWS_OF_PROCESSING: &str = "
SELECT (SELECT count(*) FROM sagas WHERE updated_at = 1000)
     + (SELECT count(*) FROM payments WHERE updated_at = 1000)
     + (SELECT count(*) FROM shipments WHERE created_at = 1000)
     + (SELECT count(*) FROM inbox WHERE received_at = 1000)";

#[tokio::test(flavor = "multi_thread")]
async fn old_orders_are_pruned_under_load_and_the_audit_is_green() -> Result<()> {
    let system = System::start_with(&PRUNING).await?;
    let databases = [
        (Service::Orders, OLD_ORDERS, OLD_ROWS_OF_ORDERS),
        (Service::Processing, OLD_SAGAS, OLD_ROWS_OF_PROCESSING),
    ];

    let (orders, ()) = system
        .under_load(async {
            for (service, insert, _) in databases {
                add(&system.stack().database(service), insert).await?;
            }
            for (service, _, old_rows) in databases {
                eventually("all old rows are deleted", async || {
                    let mut database = system.stack().database(service).reader().await?;
                    Ok((database.number(old_rows).await? == 0).then_some(()))
                })
                .await?;
            }
            Ok(())
        })
        .await?;
    system.all_become_final(&orders).await?;

    let shipped = system.stock("LAMP").await?.shipped;
    assert_eq!(shipped, i64::try_from(orders.len())?);
    system.finish().await
}

/// Inserts the rows in one transaction.
async fn add(database: &Database, rows: &str) -> Result<()> {
    match database {
        Database::Sqlite(path) => {
            let rows = rows
                .replace("$id", "unhex(printf('%032x', n))")
                .replace("$fingerprint", "zeroblob(32)")
                .replace("$empty", "x''")
                .replace(
                    "$numbers",
                    "(WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 500) \
                      SELECT n FROM number)",
                );
            let url = format!("sqlite://{}", path.display());
            let mut connection = SqliteConnection::connect(&url).await?;
            let rows = format!("PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE; {rows} COMMIT");
            let done = sqlx::raw_sql(sqlx::AssertSqlSafe(rows));
            done.execute(&mut connection).await?;
            Ok(connection.close().await?)
        }
        Database::Postgres(url) => {
            let rows = rows
                .replace("$id", "lpad(to_hex(n), 32, '0')::uuid")
                .replace("$fingerprint", "decode(repeat('00', 32), 'hex')")
                .replace("$empty", "''::bytea")
                .replace("$numbers", "generate_series(1, 500) AS number (n)");
            let mut connection = PgConnection::connect(url).await?;
            let done = sqlx::raw_sql(sqlx::AssertSqlSafe(rows));
            done.execute(&mut connection).await?;
            Ok(connection.close().await?)
        }
    }
}
