//! What an order costs, in units that do not depend on the speed of the machine: statements, transactions, bytes of WAL, and
//! requests to Kafka.
//!
//! Counted by the servers ([`server_logs`]), not by the services. Orders are placed one at a time, each when the one before is
//! final and published: nothing can share a batch, so the counts per order are those of the code. What the services do by
//! time and not by order (leases, polls, heartbeats) is counted first, without orders, and subtracted.
//!
//! A bound is the count of today plus a margin for what remains of chance, and is exceeded by one more statement per order.
//! A change that makes an order cheaper lowers the bound. Batches are measured as a ratio in the same run: a backlog costs a
//! fraction of the statements of the same orders one at a time.

mod server_logs;

use anyhow::Result;
use futures::future::try_join_all;
use tests::system::{Draft, Service, System, eventually};

use server_logs::{Counts, Meter};

/// Until every statement is prepared and every session is open.
const WARM_UP: usize = 10;

/// Counted orders. A statement that runs by time and is not seen before adds a thirtieth per order.
const ORDERS: usize = 30;

/// Statements without orders that are a sample of the work by time; they take some seconds.
const IDLE_STATEMENTS: f64 = 30.0;

/// Orders of the backlog: several batches of every stage.
const BACKLOG: usize = 1_500;
const CLIENTS: usize = 16;

/// Statements per order of a drained backlog, against those of orders one at a time. Today 0.01; without batches it would
/// be 1.
const BACKLOG_SHARE: f64 = 0.05;

/// Bounds per order, with the count of today. processing-service deletes its three events from the outbox in one to three
/// statements: as their acknowledgements come.
const BOUNDS: [(&str, f64); 7] = [
    ("statements of order-service", 17.7),       // 17.0
    ("statements of processing-service", 14.7),  // 12.0 to 14.0
    ("transactions of order-service", 3.2),      // 3.0
    ("transactions of processing-service", 2.2), // 2.0
    ("bytes of WAL", 10_000.0),                  // 8,400
    ("Produce requests", 4.2),                   // 4.0
    ("Fetch requests", 4.7),                     // 4.0
];

#[tokio::test(flavor = "multi_thread")]
async fn an_order_costs_no_more_than_its_bounds() -> Result<()> {
    let Some(system) = System::start_with_request_logs().await? else {
        return Ok(());
    };
    let meter = Meter::of(&system);
    one_at_a_time(&system, WARM_UP).await?;

    let idle = without_orders(&meter).await?;
    let begin = meter.read().await?;
    one_at_a_time(&system, ORDERS).await?;
    let spent = meter.read().await?.since(&begin).without(&idle);
    let each = spent.per_order(ORDERS);

    println!("{each}");
    let exceeded: Vec<_> = BOUNDS
        .into_iter()
        .filter(|(what, most)| each.of(what) > *most)
        .map(|(what, most)| format!("{what}: {:.2} per order, at most {most}", each.of(what)))
        .collect();
    assert!(exceeded.is_empty(), "{exceeded:#?}\n{each}");
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_costs_a_fraction_of_the_statements_of_single_orders() -> Result<()> {
    let Some(system) = System::start_with_request_logs().await? else {
        return Ok(());
    };
    let meter = Meter::of(&system);
    one_at_a_time(&system, WARM_UP).await?;
    let begin = meter.read().await?;
    one_at_a_time(&system, ORDERS).await?;
    let single = meter.read().await?.since(&begin).per_order(ORDERS);

    system.stop(Service::Processing).await?;
    place_together(&system, BACKLOG).await?;
    let begin = meter.read().await?;
    system.stack().start_service(Service::Processing).await?;
    until_published(&system).await?;
    let backlog = meter.read().await?.since(&begin).per_order(BACKLOG);

    println!("one at a time:\n{single}\nbacklog:\n{backlog}");
    let share = backlog.statements() / single.statements();
    assert!(share < BACKLOG_SHARE, "{share:.2} of the statements");
    system.finish().await
}

/// What the services do without orders.
async fn without_orders(meter: &Meter<'_>) -> Result<Counts> {
    let begin = meter.read().await?;
    eventually("the services have worked without orders", async || {
        let idle = meter.read().await?.since(&begin);
        Ok((idle.statements() >= IDLE_STATEMENTS).then_some(idle))
    })
    .await
}

async fn one_at_a_time(system: &System, orders: usize) -> Result<()> {
    for _ in 0..orders {
        system.place_order(&Draft::of("LAMP", 1)).await?;
        until_published(system).await?;
    }
    Ok(())
}

async fn place_together(system: &System, orders: usize) -> Result<()> {
    let clients = (0..CLIENTS).map(async |client| {
        for _ in (client..orders).step_by(CLIENTS) {
            system.place_order(&Draft::of("LAMP", 1)).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(clients).await?;
    Ok(())
}

/// Waits until every order is final and every event is acknowledged.
async fn until_published(system: &System) -> Result<()> {
    let orders = system.stack().database(Service::Orders).reader().await?;
    let orders = tokio::sync::Mutex::new(orders);
    eventually("every order is final", async || {
        let open = orders
            .lock()
            .await
            .number("SELECT count(*) FROM open_orders")
            .await?;
        Ok((open == 0).then_some(()))
    })
    .await?;
    for service in Service::PAIR {
        eventually("every event is published", async || {
            Ok((system.unpublished(service).await? == 0).then_some(()))
        })
        .await?;
    }
    Ok(())
}
