//! Topics that change while the services exist: partitions are added, or the topic is deleted and recreated. Only on
//! the production engines: topics of the embedded broker cannot be changed.

use anyhow::Result;
use proto::topics;
use tests::system::{Draft, Service, System, eventually};
use tokio::time::Instant;

/// The number of partitions that the stack creates, and the number after the change.
const PARTITIONS: i32 = 6;
const MORE: usize = 9;

/// Enough for some on each of the new partitions.
const ORDERS: usize = 60;

const TOPICS: [&str; 2] = [topics::ORDER_EVENTS, topics::PROCESSING_EVENTS];

/// Between orders: adding partitions moves keys to other partitions, so that later events of an order in progress might
/// overtake earlier ones.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_between_orders_are_used_and_read_from_their_first_record() -> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    place(&system).await?;

    for name in TOPICS {
        system.topic(name).grow_to(MORE).await?;
    }
    let begun = Instant::now();
    eventually("events are on a new partition of both topics", async || {
        place(&system).await?;
        let mut used = 0;
        for name in TOPICS {
            let records = system.topic(name).records().await?;
            used += usize::from(records.iter().any(|record| record.partition >= PARTITIONS));
        }
        Ok((used == TOPICS.len()).then_some(()))
    })
    .await?;
    println!("new partitions are used after {:?}", begun.elapsed());

    place(&system).await?;
    assert_eq!(system.stack().restarts(), 0);
    system.finish().await
}

/// Unconsumed records are lost with their topic; later ones are not. Both services must be stopped meanwhile. A broker
/// deletes a group's offsets with the topic, but a running consumer keeps its position and may continue in the middle
/// of the new topic; and a broker may acknowledge a record while it deletes the topic (see docs/faults.md).
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_recreated_while_both_services_are_stopped_is_read_from_its_first_record()
-> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    place(&system).await?;
    for service in Service::PAIR {
        system.stop(service).await?;
    }

    let topic = system.topic(topics::ORDER_EVENTS);
    topic.delete().await?;
    eventually("the topic can be recreated", async || {
        Ok(topic.create(PARTITIONS).await.ok())
    })
    .await?;
    system.restart(Service::Orders).await?;
    // More than were on the old topic.
    let mut orders = Vec::new();
    for _ in 0..3 * ORDERS {
        orders.push(system.place_order_retrying(&Draft::of("LAMP", 1)).await?);
    }
    eventually("they are published", async || {
        let published = topic.records().await.map_or(0, |records| records.len());
        Ok((published == orders.len()).then_some(()))
    })
    .await?;
    system.restart(Service::Processing).await?;

    system.all_become_final(&orders).await?;
    assert_eq!(system.stack().restarts(), 0);
    // Not audited: the auditor would report the deleted events.
    system.discard().await
}

/// Places orders in sequence and waits until they are final.
async fn place(system: &System) -> Result<()> {
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(system.place_order(&Draft::of("LAMP", 1)).await?);
    }
    system.all_become_final(&orders).await
}
