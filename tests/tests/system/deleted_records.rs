//! Records that are deleted before they are read. Only on Apache Kafka: the embedded broker does not delete records.

use anyhow::{Result, ensure};
use auditor::Limits;
use proto::orders::v1::{Order, OrderStatus};
use proto::topics::{ORDER_EVENTS, PROCESSING_EVENTS};
use tests::audit::deletion::delete_records;
use tests::system::{Draft, Service, System, eventually};

/// Enough for some on each of the six partitions.
const ORDERS: usize = 40;

/// The audit also has the deleted records: each event that is published again is one more.
const LIMITS: Limits = Limits {
    wire_duplicates: Some(ORDERS as u64),
    set_aside: Some(0),
    stopped_cleanly: false,
    has_other_clients: false,
};

const LAST_OUTCOME: &str = "com.example.processing.order-fulfilled.v1";

const LOGGED: &str = "records deleted before they were read";

async fn place(system: &System, count: usize) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(system.place_order(&Draft::of("LAMP", 1)).await?);
    }
    Ok(orders)
}

/// A system on which every partition was read once, with processing stopped, and orders whose events are deleted unread.
async fn with_deleted_events() -> Result<Option<(System, Vec<Order>)>> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(None);
    };
    let read = place(&system, ORDERS).await?;
    system.all_become_final(&read).await?;
    system.stop(Service::Processing).await?;
    let orders = place(&system, ORDERS).await?;
    published(&system, ORDER_EVENTS, 2 * ORDERS).await?;

    let unread = delete_records(system.stack(), ORDER_EVENTS, Service::Processing.name()).await?;
    ensure!(unread == ORDERS as u64, "{unread} records were unread");
    system.restart(Service::Processing).await?;
    Ok(Some((system, orders)))
}

async fn republish(system: &System, arguments: &[&str]) -> Result<String> {
    let arguments = [&["orders", "republish"], arguments].concat();
    let output = system.operate(Service::Orders, &arguments).await?;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_whose_events_were_deleted_unread_are_named_published_again_and_become_final()
-> Result<()> {
    let Some((system, orders)) = with_deleted_events().await? else {
        return Ok(());
    };

    reported(&system, Service::Processing, ORDERS as u64).await?;
    let dry = republish(&system, &["--open-for", "0s", "--dry-run"]).await?;
    ensure!(
        dry.contains(&format!("would publish {ORDERS} of {ORDERS} orders")),
        "{dry}"
    );
    republish(&system, &["--open-for", "0s", "--actor", "ada"]).await?;

    system.all_become_final(&orders).await?;
    let audit = system
        .operate(Service::Orders, &["orders", "audit"])
        .await?;
    let audit = String::from_utf8(audit.stdout)?;
    assert!(
        audit.contains("ada") && audit.contains(&orders[0].order_id),
        "{audit}"
    );
    system.finish_within(LIMITS).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_event_was_deleted_unread_is_cancelled_on_request_and_never_starts()
-> Result<()> {
    let Some((system, mut orders)) = with_deleted_events().await? else {
        return Ok(());
    };
    let order = orders.remove(0);

    system.cancel(&order.order_id).await?;

    system.watch_until_final(&order.order_id).await?;
    republish(&system, &["--open-for", "0s"]).await?;
    system.all_become_final(&orders).await?;
    let cancelled = system.order(&order.order_id).await?;
    assert_eq!(cancelled.status(), OrderStatus::Cancelled);
    system.finish_within(LIMITS).await.map(drop)
}

/// A system with order-service stopped, and orders of which no outcome is read.
async fn with_unread_outcomes() -> Result<Option<(System, Vec<Order>)>> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(None);
    };
    let read = place(&system, ORDERS).await?;
    system.all_become_final(&read).await?;
    system.stop(Service::Processing).await?;
    let orders = place(&system, ORDERS).await?;
    published(&system, ORDER_EVENTS, 2 * ORDERS).await?;
    system.stop(Service::Orders).await?;
    system.restart(Service::Processing).await?;
    // Three outcomes of each order.
    published(&system, PROCESSING_EVENTS, 3 * 2 * ORDERS).await?;
    Ok(Some((system, orders)))
}

async fn delete_outcomes(system: &System) -> Result<()> {
    let group = Service::Orders.name();
    let unread = delete_records(system.stack(), PROCESSING_EVENTS, group).await?;
    ensure!(unread == 3 * ORDERS as u64, "{unread} records were unread");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_whose_outcomes_were_deleted_unread_get_them_again() -> Result<()> {
    let Some((system, orders)) = with_unread_outcomes().await? else {
        return Ok(());
    };
    delete_outcomes(&system).await?;
    system.restart(Service::Orders).await?;
    reported(&system, Service::Orders, 3 * ORDERS as u64).await?;
    republish(&system, &["--open-for", "0s"]).await?;

    system.all_become_final(&orders).await?;
    let limits = Limits {
        wire_duplicates: Some(4 * ORDERS as u64),
        ..LIMITS
    };
    system.finish_within(limits).await.map(drop)
}

/// The last outcome of each order is on the topic, and those before it are not.
#[tokio::test(flavor = "multi_thread")]
async fn orders_whose_first_outcomes_were_deleted_get_all_again_when_the_dead_ones_are_skipped()
-> Result<()> {
    let Some((system, orders)) = with_unread_outcomes().await? else {
        return Ok(());
    };
    let mut last = system.topic(PROCESSING_EVENTS).records().await?;
    last.retain(|outcome| {
        let is_of_them = orders.iter().any(|order| outcome.is_about(&order.order_id));
        is_of_them && outcome.header("ce_type") == Some(LAST_OUTCOME)
    });
    delete_outcomes(&system).await?;
    let topic = system.topic(PROCESSING_EVENTS);
    topic.publish_together(&last).await?;
    system.restart(Service::Orders).await?;

    let dead = dead_outcomes(&system, ORDERS).await?;
    republish(&system, &["--open-for", "0s"]).await?;
    for id in dead {
        let skip = ["skip", &*id, "--reason", "a gap"];
        let output = system.dead_letters(Service::Orders, &skip).await?;
        ensure!(output.status.success(), "{skip:?}: {}", output.status);
    }

    system.all_become_final(&orders).await?;
    let limits = Limits {
        wire_duplicates: Some(5 * ORDERS as u64),
        ..LIMITS
    };
    system.finish_within(limits).await.map(drop)
}

/// The ids of this many dead events in the retry store of order-service.
async fn dead_outcomes(system: &System, count: usize) -> Result<Vec<String>> {
    eventually("the outcomes are dead", async || {
        let list = ["list", "--state", "dead", "--json"];
        let output = system.dead_letters(Service::Orders, &list).await?;
        let list = String::from_utf8(output.stdout)?;
        let ids = list.lines().map(|line| {
            let event: serde_json::Value = serde_json::from_str(line)?;
            Ok(event["id"].to_string())
        });
        let ids = ids.collect::<Result<Vec<_>>>()?;
        Ok((ids.len() == count).then_some(ids))
    })
    .await
}

async fn published(system: &System, topic: &'static str, count: usize) -> Result<()> {
    eventually("the events are published", async || {
        let records = system.topic(topic).records().await?.len();
        Ok((records == count).then_some(()))
    })
    .await
}

/// Waits until a service has reported this many deleted records, also those without a record that would follow them.
async fn reported(system: &System, service: Service, count: u64) -> Result<()> {
    eventually("every deleted record is reported", async || {
        let log = system.log(service)?;
        let reported = log.lines().filter(|line| line.contains(LOGGED));
        let records: u64 = reported.filter_map(number_of_records).sum();
        ensure!(records <= count, "{records} records are reported");
        Ok((records == count).then_some(()))
    })
    .await
}

/// The field `records` of a log line.
fn number_of_records(line: &str) -> Option<u64> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    fields.get("records")?.as_u64()
}
