//! Events that move to the retry store, later events of their key that wait behind them, and their release.

use anyhow::{Result, ensure};
use proto::orders::v1::Order;
use proto::topics;
use serde_json::Value;
use tests::system::{Draft, Service, System, TopicRecord, eventually};
use uuid::Uuid;

/// Takes a second or two, and is then rejected: time enough to put something between its events.
const LATE: &str = "tok_slow";

/// As the stack creates its topics. A replica has some of them.
const PARTITIONS: i32 = 6;

/// Publishes records that a service cannot understand, so many to each partition, each under a key of its own.
pub(super) async fn poison(system: &System, service: Service, count: u64) -> Result<()> {
    let topic = system.topic(consumed_by(service));
    let mut records = Vec::new();
    for _ in 0..count {
        records.extend((0..PARTITIONS).map(|partition| TopicRecord {
            partition,
            ..nonsense(&Uuid::new_v4().to_string())
        }));
    }
    topic.publish_together(&records).await
}

/// Publishes an undecodable record between the events of some orders, so that later events of the key move to the retry
/// store behind it; then skips that record, like an operator.
pub(super) async fn store_and_release(
    system: &System,
    service: Service,
    count: u64,
) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    for _ in 0..count {
        let draft = Draft::of("LAMP", 1).paid_with(LATE);
        orders.push(system.place_order_retrying(&draft).await?);
    }
    let topic = system.topic(consumed_by(service));
    let records: Vec<_> = orders
        .iter()
        .map(|order| nonsense(&order.order_id))
        .collect();
    topic.publish_together(&records).await?;
    if service == Service::Processing {
        for order in &orders {
            super::load::cancel(system, &order.order_id).await?;
        }
    }

    let mut dead = Vec::new();
    for order in &orders {
        dead.push(key_state(system, service, &order.order_id).await?);
    }
    for id in dead {
        operate(system, service, &["skip", &id, "--reason", "not an event"]).await?;
    }
    Ok(orders)
}

/// Waits until an event of this order waits behind a dead one, and returns the id of the dead one.
async fn key_state(system: &System, service: Service, order_id: &str) -> Result<String> {
    let heads = ["list", "--json", "--state", "dead", "--key", order_id];
    eventually(
        "an event waits in the retry store behind another",
        async || {
            let listed = operate(system, service, &heads).await?;
            let mut rows = listed.lines().map(serde_json::from_str::<Value>);
            let Some(head) = rows.next().transpose()? else {
                return Ok(None);
            };
            let is_blocking = head["behind"].as_u64().is_some_and(|behind| behind > 0);
            Ok(is_blocking.then(|| head["id"].to_string()))
        },
    )
    .await
}

/// Waits until no event in the retry store is WAITING. Events that a dead process had claimed are retried a minute later.
pub(super) async fn nothing_waits(system: &System, service: Service) -> Result<()> {
    eventually("no event in the retry store is WAITING", async || {
        let listed = operate(system, service, &["list", "--json", "--state", "waiting"]).await?;
        Ok(listed.is_empty().then_some(()))
    })
    .await
}

/// Output of an operator command.
async fn operate(system: &System, service: Service, arguments: &[&str]) -> Result<String> {
    let output = system.dead_letters(service, arguments).await?;
    let refusal = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {refusal}");
    Ok(String::from_utf8(output.stdout)?)
}

fn nonsense(key: &str) -> TopicRecord {
    TopicRecord {
        partition: -1,
        offset: 0,
        timestamp: None,
        key: Some(key.as_bytes().to_vec()),
        headers: vec![(b"ce_type".to_vec(), Some(b"com.example.nonsense".to_vec()))],
        payload: Some(vec![0xff; 32]),
    }
}

fn consumed_by(service: Service) -> &'static str {
    match service {
        Service::Processing => topics::ORDER_EVENTS,
        _ => topics::PROCESSING_EVENTS,
    }
}
