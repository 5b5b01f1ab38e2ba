//! Work of every kind that a metric distinguishes: orders with each outcome, errors, retries, dead letters, shed calls.

use anyhow::{Context as _, Result, ensure};
use auditor::database::Database;
use futures::future::{join, join_all};
use proto::orders::v1::OrderStatus;
use proto::topics;
use sqlx::{Connection as _, PgConnection};
use tests::system::{Draft, Service, System, TopicRecord};
use tonic::Code;

/// `GRPC_CONCURRENCY` of order-service.
pub(crate) const CONCURRENCY: &str = "16";

/// More calls at once than it accepts.
const CALLS: usize = 32;

/// One round; each has its own number.
pub(crate) async fn work(system: &System, round: i32) -> Result<()> {
    poison(system, round).await?;
    let place = async |token: &str| {
        let draft = Draft::of("MUG", 1).paid_with(token);
        let order = system.place_order(&draft).await?;
        anyhow::Ok(order.order_id)
    };
    // Its refund fails for seconds: it is retried in memory, then in the retry store.
    place("tok_refund_stuck").await?;
    let cancelled = place("tok_slow").await?;
    system.cancel(&cancelled).await?;
    let orders = [
        (cancelled, OrderStatus::Cancelled),
        (place("tok_approved").await?, OrderStatus::Fulfilled),
        (place("tok_declined").await?, OrderStatus::Rejected),
    ];
    let invalid = system.place_order(&Draft::of("MUG", 0)).await;
    ensure!(invalid.is_err_and(|status| status.code() == Code::InvalidArgument));
    for (order_id, status) in orders {
        system.watch_until_final(&order_id).await?;
        ensure!(
            system.order(&order_id).await?.status() == status,
            "{status:?}"
        );
    }
    system.list(10, "").await?;
    calls_to_a_locked_table(system).await
}

/// A record that cannot be decoded on each topic.
async fn poison(system: &System, round: i32) -> Result<()> {
    for topic in [topics::ORDER_EVENTS, topics::PROCESSING_EVENTS] {
        let record = TopicRecord {
            partition: 0,
            offset: 0,
            timestamp: None,
            key: Some(format!("no order {round}").into_bytes()),
            headers: vec![(b"ce_type".to_vec(), Some(b"com.example.nonsense".to_vec()))],
            payload: Some(vec![0xff; 32]),
        };
        system.topic(topic).publish(&record).await?;
    }
    Ok(())
}

/// The accepted calls fail when the statements time out; those above the limit are shed meanwhile.
async fn calls_to_a_locked_table(system: &System) -> Result<()> {
    let Database::Postgres(url) = system.stack().database(Service::Orders) else {
        anyhow::bail!("there is no PostgreSQL server");
    };
    let mut locking = PgConnection::connect(&url).await?;
    sqlx::raw_sql("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        .execute(&mut locking)
        .await?;

    let draft = Draft::of("MUG", 1);
    let lists = join_all((0..CALLS).map(|_| system.list(10, "")));
    let (placed, listed) = join(system.place_order(&draft), lists).await;

    locking.close().await?;
    let placed = placed.err().context("placed in a locked table")?;
    ensure!(placed.code() == Code::Unavailable, "{placed}");
    let codes: Vec<_> = listed
        .into_iter()
        .filter_map(|answer| answer.err().map(|status| status.code()))
        .collect();
    for code in [Code::Unavailable, Code::ResourceExhausted] {
        ensure!(codes.contains(&code), "{code:?} is not one of {codes:?}");
    }
    Ok(())
}
