//! A database in which a foreign transaction holds all locks: work waits, none is rejected or partially done.

use std::time::Duration;

use anyhow::Result;
use auditor::database::Database;
use proto::topics;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tests::system::{Service, System};
use tokio::time::sleep;

/// The tables locked on PostgreSQL; on SQLite the whole file is locked.
const LOCK_STOCK: &str = "BEGIN; LOCK TABLE stock IN ACCESS EXCLUSIVE MODE";
const LOCK_ORDERS: &str = "BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE";

/// Longer than the lock timeouts of the services (2 s on PostgreSQL, 5 s on SQLite): they fail and retry, and on
/// PostgreSQL every connection of their pools is in use meanwhile.
const HELD: Duration = Duration::from_secs(8);

/// How long orders are placed before and after.
const WARM_UP: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_table_locked_for_seconds_delays_orders_and_moves_none_to_the_retry_store()
-> Result<()> {
    survives_a_lock_on(Service::Processing, LOCK_STOCK).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_table_locked_for_seconds_delays_confirmations_and_loses_none() -> Result<()> {
    survives_a_lock_on(Service::Orders, LOCK_ORDERS).await
}

async fn survives_a_lock_on(service: Service, lock: &'static str) -> Result<()> {
    let system = System::start().await?;

    let (orders, ()) = system
        .under_load(async {
            sleep(WARM_UP).await;
            hold(&system.stack().database(service), lock).await?;
            sleep(WARM_UP).await;
            Ok(())
        })
        .await?;
    system.all_become_final(&orders).await?;

    let shipped = system.stock("LAMP").await?.shipped;
    assert_eq!(shipped, i64::try_from(orders.len())?);
    for dead_letters in [
        topics::ORDER_EVENTS_DEAD_LETTERS,
        topics::PROCESSING_EVENTS_DEAD_LETTERS,
    ] {
        assert!(system.topic(dead_letters).records().await?.is_empty());
    }
    assert_eq!(system.stack().restarts(), 0);
    system.finish().await
}

/// Holds a lock that blocks all other writers, and on PostgreSQL readers, too.
async fn hold(database: &Database, lock: &'static str) -> Result<()> {
    match database {
        Database::Sqlite(path) => {
            let url = format!("sqlite://{}", path.display());
            let mut connection = SqliteConnection::connect(&url).await?;
            sqlx::raw_sql("PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE")
                .execute(&mut connection)
                .await?;
            sleep(HELD).await;
            Ok(connection.close().await?)
        }
        Database::Postgres(url) => {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::raw_sql(lock).execute(&mut connection).await?;
            sleep(HELD).await;
            Ok(connection.close().await?)
        }
    }
}
