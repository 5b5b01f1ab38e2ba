//! Slow keys and hot keys do not delay other keys of their partition.

use anyhow::Result;
use auditor::Limits;
use proto::orders::v1::{Order, OrderStatus};
use proto::topics;
use tests::system::{Draft, Service, System, eventually, statuses};
use tokio::time::Instant;

/// A payment whose first capture is never answered takes this long, far longer than other orders.
const LONG_RETRY: (Service, &str, &str) = (Service::Processing, "PAYMENT_TIMEOUT", "15s");
const UNANSWERED: &str = "tok_timeout_once";

/// Enough for some on every partition.
const SLOW: usize = 24;

/// Records of one key. A partition buffers up to 1,024 records beside those in progress before it is paused, so these
/// are all buffered.
const HOT: usize = 900;

/// Orders placed while a service is down.
const BACKLOG: usize = 1_500;

/// Clients that place them.
const CLIENTS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn orders_do_not_wait_for_orders_with_slow_payments() -> Result<()> {
    let system = System::start_with(&[LONG_RETRY]).await?;
    let slow = place(&system, SLOW, UNANSWERED).await?;
    let others = place(&system, SLOW, "tok_approved").await?;

    system.all_become_final(&others).await?;

    are_still_under_way(&system, &slow).await?;
    system.all_become_final(&slow).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_do_not_wait_for_a_key_with_hundreds_of_events() -> Result<()> {
    let system = System::start_with(&[LONG_RETRY]).await?;
    let topic = system.topic(topics::ORDER_EVENTS);
    let hot = place(&system, 1, UNANSWERED).await?;
    let placed = eventually("its event is published", async || {
        Ok(topic.records_about(&hot[0].order_id).await?.pop())
    })
    .await?;

    topic.publish_together(&vec![placed; HOT]).await?;
    // Enough for some on its partition, behind it.
    let others = place(&system, SLOW, "tok_approved").await?;
    system.all_become_final(&others).await?;

    are_still_under_way(&system, &hot).await?;
    system.all_become_final(&hot).await?;
    eventually("its last event is handled", async || {
        let handled = topic.is_consumed_by(Service::Processing).await?;
        Ok(handled.then_some(()))
    })
    .await?;
    finish_with(system, HOT).await
}

async fn place(system: &System, count: usize, payment_token: &str) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    for _ in 0..count {
        let draft = Draft::of("MUG", 1).paid_with(payment_token);
        orders.push(system.place_order(&draft).await?);
    }
    Ok(orders)
}

/// Ends a test that has published this many records again.
async fn finish_with(system: System, repeated: usize) -> Result<()> {
    let limits = Limits {
        wire_duplicates: Some(u64::try_from(repeated)?),
        set_aside: Some(0),
        ..Limits::default()
    };
    system.finish_within(limits).await.map(drop)
}

async fn are_still_under_way(system: &System, orders: &[Order]) -> Result<()> {
    for order in orders {
        let status = system.order(&order.order_id).await?.status();
        let is_under_way = matches!(status, OrderStatus::Accepted | OrderStatus::Processing);
        assert!(is_under_way, "the slow order is already final: {status:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_of_a_stopped_service_is_processed_once() -> Result<()> {
    let system = System::start().await?;
    system.stop(Service::Processing).await?;
    let clients = (0..CLIENTS).map(async |_| {
        let mut orders = Vec::new();
        for _ in 0..BACKLOG / CLIENTS {
            orders.push(system.place_order(&Draft::of("LAMP", 1)).await?);
        }
        anyhow::Ok(orders)
    });
    let orders = futures::future::try_join_all(clients).await?.concat();

    let begun = Instant::now();
    system.restart(Service::Processing).await?;
    system.all_become_final(&orders).await?;

    println!("{} orders in {:?}", orders.len(), begun.elapsed());
    let shipped = system.stock("LAMP").await?.shipped;
    assert_eq!(shipped, i64::try_from(orders.len())?);
    let history = system.watch_until_final(&orders[0].order_id).await?;
    assert_eq!(statuses(&history).last(), Some(&OrderStatus::Fulfilled));
    system.finish().await
}
