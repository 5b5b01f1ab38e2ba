//! A slow dependency does not slow down its callers: a call ends at its deadline at every link of the chain, and no
//! work is started after it.
//!
//! ```text
//! client ──100 ms──▶ order-service ──remaining time, less the commit──▶ processing-service ──▶ database
//!                          └──remaining time──▶ database
//! ```
//!
//! Each test makes one link slow, places orders one by one, then many at once, with a client without a timer, which
//! measures when the service answers. The availability query is limited by the deadline here, not by its own shorter timeout.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use auditor::database::Database;
use futures::future::try_join_all;
use proto::orders::v1::{GetOrderRequest, Order, PlaceOrderRequest, PlaceOrderResponse};
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tests::proxy::NetworkFault;
use tests::stack::{DatabaseEngine, Engines};
use tests::system::{Draft, Service, System, eventually};
use tokio::time::sleep;
use tonic::{Code, Response, Status};

use crate::bare;

/// The deadline of every call, and its `grpc-timeout` form.
const DEADLINE: Duration = Duration::from_millis(100);
const GRPC_TIMEOUT: &str = "100m";

/// Maximum lateness of an answer on a machine that has a core for it.
const LATE: Duration = Duration::from_millis(20);

/// Number of single calls of which one must be in time: a machine with other work is late by chance, a defect that makes
/// calls wait every time. Of many calls at once this is not required: to answer them takes longer than `LATE` on two cores.
const SINGLE_CALLS: usize = 20;

/// Maximum lateness of every answer on any machine: far below the delay of the slow link (2 s and more).
const NEVER_LATER: Duration = Duration::from_millis(900);

/// Calls at once, below the concurrency limit of order-service (512).
const CALLS: usize = 60;

/// Many times the pause before a retry (20 ms).
const QUIET: Duration = Duration::from_secs(1);

const SETTINGS: [(Service, &str, &str); 3] = [
    (Service::Orders, "AVAILABILITY_TIMEOUT", "5s"),
    // Otherwise the report about the stock that the warm-up has brought would answer a burst.
    (Service::Orders, "AVAILABILITY_MAX_AGE", "0ms"),
    // The HTTP/2 library logs every received frame.
    (
        Service::Processing,
        "LOG_FILTER",
        "info,h2::codec::framed_read=debug",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_call_outlives_its_deadline_while_processing_is_frozen() -> Result<()> {
    let system = System::start_with(&SETTINGS).await?;
    warm_up(&system).await?;
    let frozen = system.stack().processes(Service::Processing);
    for process in &frozen {
        system.stack().pause(*process).await?;
    }

    let (calls, before) = slow_calls(&system).await?;

    for process in frozen {
        system.stack().resume(process).await?;
    }
    no_more_queries_arrive(&system, &calls, before).await?;
    each_call_is_one_order(&system, &calls).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_outlives_its_deadline_while_processing_answers_late() -> Result<()> {
    let system = System::start_through_proxies(&SETTINGS).await?;
    warm_up(&system).await?;
    let late = NetworkFault::Latency {
        fixed: Duration::from_secs(5),
        jitter: Duration::ZERO,
    };
    set(&system, late)?;

    let (calls, before) = slow_calls(&system).await?;

    // Requests in transit still arrive, although their callers have timed out.
    sleep(Duration::from_secs(5)).await;
    no_more_queries_arrive(&system, &calls, before).await?;
    set(&system, NetworkFault::Pass)?;
    each_call_is_one_order(&system, &calls).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_outlives_its_deadline_while_a_foreign_writer_locks_the_orders_file() -> Result<()>
{
    let system = System::start_with_engines(Engines::embedded(), &SETTINGS).await?;
    warm_up(&system).await?;
    let lock = Lock::on(&system, Service::Orders, "").await?;

    let (calls, before) = slow_calls(&system).await?;

    no_more_queries_arrive(&system, &calls, before).await?;
    lock.end().await?;
    each_call_is_one_order(&system, &calls).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_outlives_its_deadline_while_the_table_of_the_orders_is_locked() -> Result<()> {
    let system = System::start_with_engines(on_postgres(), &SETTINGS).await?;
    warm_up(&system).await?;
    let lock = Lock::on(&system, Service::Orders, "orders").await?;

    let (calls, before) = slow_calls(&system).await?;

    // The commit that had begun is shared by many calls, and waits up to the lock timeout.
    at_most_wait_for(&system, Service::Orders, 1).await?;
    no_more_queries_arrive(&system, &calls, before).await?;
    lock.end().await?;
    each_call_is_one_order(&system, &calls).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_outlives_its_deadline_while_the_table_of_the_stock_is_locked() -> Result<()> {
    let system = System::start_with_engines(on_postgres(), &SETTINGS).await?;
    warm_up(&system).await?;
    let lock = Lock::on(&system, Service::Processing, "stock").await?;

    let (calls, before) = slow_calls(&system).await?;

    // The stock reads that had begun are shared by many calls; their concurrency is limited.
    at_most_wait_for(&system, Service::Processing, 2).await?;
    no_more_queries_arrive(&system, &calls, before).await?;
    lock.end().await?;
    each_call_is_one_order(&system, &calls).await?;
    system.finish().await
}

/// A call, its result, and its duration.
struct Call {
    request: PlaceOrderRequest,
    answer: Result<Order, Status>,
    took: Duration,
}

/// Processes one order to its end, so that connections are open and statement plans exist.
async fn warm_up(system: &System) -> Result<()> {
    let order = system.place_order_retrying(&Draft::of("LAMP", 1)).await?;
    system.watch_until_final(&order.order_id).await.map(drop)
}

/// Single calls until one is answered in time, then many at once; and the number of queries that had arrived before: those
/// of the start, whose number depends on its duration, and of the warm-up.
async fn slow_calls(system: &System) -> Result<(Vec<Call>, usize)> {
    let client = connected(system).await?;
    let before = queries(system)?;
    let mut calls = Vec::new();
    let mut is_in_time = false;
    while !is_in_time && calls.len() < SINGLE_CALLS {
        let single = at_once(&client, 1).await?;
        is_in_time = latest(&single)? <= DEADLINE + LATE;
        calls.extend(single);
    }
    ensure!(is_in_time, "late in all of {SINGLE_CALLS} single calls");
    let burst = at_once(&client, CALLS).await?;
    let latest = latest(&burst)?;
    ensure!(latest <= DEADLINE + NEVER_LATER, "one after {latest:?}");
    calls.extend(burst);
    Ok((calls, before))
}

/// A client that is connected: otherwise every call would open its own connection, before the service sees it.
async fn connected(system: &System) -> Result<bare::BareClient> {
    // Calls that bypass the harness are not in its journal; `client` records that for the audit.
    drop(system.client());
    let mut client = bare::client(system.addresses().orders[0])?;
    client.get_order(GetOrderRequest::default()).await.err();
    Ok(client)
}

/// Concurrent calls, each in a task of its own.
async fn at_once(client: &bare::BareClient, calls: usize) -> Result<Vec<Call>> {
    let call = |_| {
        let (mut client, request) = (client.clone(), Draft::of("LAMP", 1).request());
        tokio::spawn(async move {
            let place = bare::with_timeout(request.clone(), GRPC_TIMEOUT);
            let begun = Instant::now();
            let answer = client.place_order(place).await;
            let took = begun.elapsed();
            Call {
                request,
                answer: answer.map(order),
                took,
            }
        })
    };
    Ok(try_join_all((0..calls).map(call)).await?)
}

fn order(answer: Response<PlaceOrderResponse>) -> Order {
    answer.into_inner().order.unwrap_or_default()
}

/// The longest time to an answer. Every call has an order or DEADLINE_EXCEEDED.
fn latest(calls: &[Call]) -> Result<Duration> {
    for call in calls {
        if let Err(status) = &call.answer {
            ensure!(status.code() == Code::DeadlineExceeded, "{status:?}");
        }
    }
    let accepted = calls.iter().filter(|call| call.answer.is_ok()).count();
    let latest = calls.iter().map(|call| call.took).max().unwrap_or_default();
    println!(
        "{accepted} of {} accepted, the last after {latest:?}",
        calls.len()
    );
    Ok(latest)
}

/// No query is in flight or sent any more, and no call has sent two.
async fn no_more_queries_arrive(system: &System, calls: &[Call], before: usize) -> Result<()> {
    let asked = eventually("no further query arrives", async || {
        let before = queries(system)?;
        sleep(QUIET).await;
        Ok((queries(system)? == before).then_some(before))
    })
    .await?;
    let of_calls = asked - before;
    println!("{of_calls} queries arrived");
    ensure!(of_calls <= calls.len(), "{of_calls} queries");
    sleep(QUIET).await;
    ensure!(queries(system)? == asked, "a further query arrived");
    Ok(())
}

/// The number of calls received by processing-service.
fn queries(system: &System) -> Result<usize> {
    let log = system.log(Service::Processing)?;
    Ok(log.matches("Headers { stream_id").count())
}

/// Every call has made one order, at once or by its retry now, and confirmed orders are unchanged.
async fn each_call_is_one_order(system: &System, calls: &[Call]) -> Result<()> {
    let mut orders = Vec::new();
    for call in calls {
        let order = eventually("the repeated call is confirmed", async || {
            Ok(system.place(call.request.clone()).await.ok())
        })
        .await?;
        if let Ok(confirmed) = &call.answer {
            ensure!(
                confirmed.order_id == order.order_id,
                "two orders of one call"
            );
        }
        orders.push(order);
    }
    system.all_become_final(&orders).await?;
    let mut database = system.stack().database(Service::Orders).reader().await?;
    let made = database.number("SELECT count(*) FROM orders").await?;
    ensure!(made == i64::try_from(calls.len() + 1)?, "{made} orders");
    Ok(())
}

/// Within a second at most `most` statements of this service wait for a lock.
async fn at_most_wait_for(system: &System, service: Service, most: i64) -> Result<()> {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock' \
         AND query NOT LIKE '%FOR UPDATE%'";
    sleep(QUIET).await;
    let mut database = system.stack().database(service).reader().await?;
    let waiting = database.number(WAITING).await?;
    println!("{waiting} statements of {service} wait");
    ensure!(waiting <= most, "{waiting} statements wait");
    Ok(())
}

fn on_postgres() -> Engines {
    Engines {
        database: DatabaseEngine::Postgres,
        ..Engines::embedded()
    }
}

fn set(system: &System, fault: NetworkFault) -> Result<()> {
    let proxies = system.stack().proxies().context("there are proxies")?;
    for proxy in &proxies.processing {
        proxy.set(fault);
    }
    Ok(())
}

/// A foreign transaction that stays open.
enum Lock {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Lock {
    /// Locks a table of PostgreSQL, or the file of SQLite.
    async fn on(system: &System, service: Service, table: &str) -> Result<Self> {
        match system.stack().database(service) {
            Database::Sqlite(path) => {
                let url = format!("sqlite://{}", path.display());
                let mut connection = SqliteConnection::connect(&url).await?;
                let begin = "PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE";
                sqlx::raw_sql(begin).execute(&mut connection).await?;
                Ok(Self::Sqlite(connection))
            }
            Database::Postgres(url) => {
                let mut connection = PgConnection::connect(&url).await?;
                let begin = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
                let begin = sqlx::raw_sql(sqlx::AssertSqlSafe(begin));
                begin.execute(&mut connection).await?;
                Ok(Self::Postgres(connection))
            }
        }
    }

    async fn end(self) -> Result<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.close().await?),
            Self::Postgres(connection) => Ok(connection.close().await?),
        }
    }
}
