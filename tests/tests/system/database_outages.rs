//! The database is down, slow to start, or overloaded: requests fail fast, nothing is partially written, and the
//! service recovers automatically. Only on the production engines: a SQLite file cannot be down.

use std::time::{Duration, Instant};

use anyhow::Result;
use auditor::database::Database;
use proto::orders::v1::OrderStatus;
use sqlx::{Connection as _, PgConnection};
use tests::system::{Draft, Service, System, eventually};
use tonic::Code;

/// Maximum time of a request while the database is down.
const FAST: Duration = Duration::from_secs(5);

/// An order takes a fraction of a second; a relay that waits for a transaction would take until that ends.
const UNHINDERED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn requests_fail_fast_while_the_database_is_down_and_work_resumes_when_it_is_back()
-> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    let before = system
        .place_order(&Draft::of("MUG", 1).paid_with("tok_slow"))
        .await?;
    nothing_is_at_the_broker(&system, &before.order_id).await?;
    system.stop(Service::Database).await?;

    for _ in system.addresses().orders.clone() {
        let asked = Instant::now();
        let refused = system.place_order(&Draft::of("MUG", 1)).await;

        assert_eq!(refused.expect_err("no database").code(), Code::Unavailable);
        assert!(asked.elapsed() < FAST, "after {:?} only", asked.elapsed());
        let read = system.order(&before.order_id).await;
        assert_eq!(read.expect_err("no database").code(), Code::Unavailable);
    }
    system.restart(Service::Database).await?;

    let after = system.place_order_retrying(&Draft::of("MUG", 1)).await?;
    for order in [before, after] {
        system.watch_until_final(&order.order_id).await?;
        let order = system.order(&order.order_id).await?;
        assert_eq!(order.status(), OrderStatus::Fulfilled);
    }
    assert_eq!(system.stack().restarts(), 0);
    assert_eq!(system.stock("MUG").await?.shipped, 2);
    system.finish().await
}

/// Waits until processing has started the order, and all its events so far have left the outboxes: an event that is
/// published but not deleted when the database goes down is published again.
async fn nothing_is_at_the_broker(system: &System, order_id: &str) -> Result<()> {
    eventually(
        "the order is in work, its events are published",
        async || {
            let is_in_work = system.order(order_id).await?.status() != OrderStatus::Accepted;
            let mut unpublished = 0;
            for service in Service::PAIR {
                unpublished += system.unpublished(service).await?;
            }
            Ok((is_in_work && unpublished == 0).then_some(()))
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_database_is_killed() -> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    let (orders, ()) = system.under_load(system.kill(Service::Database)).await?;

    system.all_become_final(&orders).await?;

    let shipped = system.stock("LAMP").await?.shipped;
    assert_eq!(shipped, i64::try_from(orders.len())?);
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_starts_before_its_database_waits_for_it() -> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    for service in [Service::Orders, Service::Processing, Service::Database] {
        system.stop(service).await?;
    }

    let pair = Service::PAIR.map(|service| system.stack().processes(service));
    for process in pair.concat() {
        system.stack().launch(process).await?;
        system.logs(process, "waiting for the database").await?;
        assert!(!system.stack().is_ready(process).await, "{process}");
    }
    system.restart(Service::Database).await?;

    for process in pair.concat() {
        system.until_ready(process).await?;
    }
    assert_eq!(system.stack().restarts(), 0);
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;
    system.finish().await
}

/// Relays that order by transaction ids stall while any transaction on the server is open.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_in_another_database_delays_no_event() -> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    let mut other = another_database(&system).await?;
    sqlx::raw_sql("CREATE TABLE things (id INT); BEGIN; INSERT INTO things VALUES (1)")
        .execute(&mut other)
        .await?;

    let begun = Instant::now();
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;

    assert!(begun.elapsed() < UNHINDERED, "{:?}", begun.elapsed());
    other.close().await?;
    system.finish().await
}

async fn another_database(system: &System) -> Result<PgConnection> {
    let Database::Postgres(url) = system.stack().database(Service::Orders) else {
        anyhow::bail!("there is no PostgreSQL server");
    };
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::raw_sql("CREATE DATABASE other")
        .execute(&mut connection)
        .await?;
    let (server, _) = url.rsplit_once('/').unwrap_or_default();
    Ok(PgConnection::connect(&format!("{server}/other")).await?)
}
