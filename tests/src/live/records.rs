//! Records that the page publishes itself: a duplicate of a real one, and a poison message.

use std::time::Duration;

use anyhow::{Context as _, Result};
use proto::orders::v1::GetOrderRequest;
use proto::topics::ORDER_EVENTS;
use tokio::time::{Instant, sleep};

use crate::client::OrderClient;
use crate::client::connections::connect;
use crate::stack::Stack;
use crate::system::{ForeignRecords, Topic, TopicRecord};

/// Time for the duplicate to be handled.
const HANDLED_WITHIN: Duration = Duration::from_secs(5);

/// Partitions that are asked for their last record; topics have six by default.
const PARTITIONS: usize = 6;

/// Publishes the last event of an order again, byte by byte, and compares the order before and after. Returns what was seen.
pub(super) async fn duplicate_last(stack: &Stack) -> Result<String> {
    let topic = Topic::of(stack, ORDER_EVENTS);
    let last = last_record(&topic).await?;
    let record = last.context("there is no event yet; place an order first")?;
    let key = String::from_utf8(record.key.clone().unwrap_or_default())?;
    let kind = record.header("ce_type").unwrap_or_default().to_owned();
    let mut client = OrderClient::new(connect(&stack.addresses().order_urls()[0])?);
    let before = version(&mut client, &key).await?;
    topic.publish(&record).await?;
    let deadline = Instant::now() + HANDLED_WITHIN;
    while !topic
        .is_consumed_by(crate::stack::Service::Processing)
        .await?
    {
        if Instant::now() > deadline {
            return Ok(format!(
                "{kind} of order {key} was published a second time, with the same event id, and waits for processing-service."
            ));
        }
        sleep(Duration::from_millis(100)).await;
    }
    let after = version(&mut client, &key).await?;
    let effect = match before == after {
        true => {
            format!("it had no second effect, and the order is still at version {after}")
        }
        // The order itself went on meanwhile.
        false => format!("the order went on from version {before} to {after} by its own events"),
    };
    Ok(format!(
        "{kind} of order {key} was published a second time, with the same event id: {effect}."
    ))
}

/// Publishes a record that is no event, under a key of its own.
pub(super) async fn poison(stack: &Stack, number: u64) -> Result<String> {
    let topic = Topic::of(stack, ORDER_EVENTS);
    let mut records = ForeignRecords::new(ORDER_EVENTS, -1, number).faulty;
    let record = records.swap_remove(usize::try_from(number)? % records.len());
    // The empty keys have no round, so they would wait behind each other.
    let record = TopicRecord {
        key: Some(format!("poison {number}").into_bytes()),
        ..record
    };
    topic.publish(&record).await?;
    Ok("A record that is no event was published on the topic of the orders.".to_owned())
}

/// The event with the latest time on any partition.
async fn last_record(topic: &Topic) -> Result<Option<TopicRecord>> {
    let mut last: Option<TopicRecord> = None;
    for partition in 0..PARTITIONS {
        for record in topic.excerpt(partition, 1.0, 1).await? {
            let time = record.header("ce_time");
            let is_later = last
                .as_ref()
                .is_none_or(|last| time > last.header("ce_time"));
            if time.is_some() && record.payload.is_some() && is_later {
                last = Some(record);
            }
        }
    }
    Ok(last)
}

async fn version(client: &mut OrderClient, order_id: &str) -> Result<i64> {
    let order_id = order_id.to_owned();
    let mut request = tonic::Request::new(GetOrderRequest { order_id });
    request.set_timeout(Duration::from_secs(2));
    let answer = client.get_order(request).await;
    let answer = answer.map_err(|status| anyhow::anyhow!("order-service: {}", status.message()))?;
    let order = answer
        .into_inner()
        .order
        .context("an answer without the order")?;
    Ok(order.version)
}
