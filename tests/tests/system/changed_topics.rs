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

/// Each topic with its producer. The other service consumes it.
const PRODUCERS: [(&str, Service); 2] = [
    (topics::ORDER_EVENTS, Service::Orders),
    (topics::PROCESSING_EVENTS, Service::Processing),
];

/// As docs/operations.md says: no order is in progress, and the producer is restarted before the next one. A running
/// producer would change over within a minute, at a moment that nobody can choose: an order that is in progress then
/// has events on two partitions. The consumer runs on.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_between_orders_are_used_and_read_from_their_first_record() -> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    place(&system).await?;

    for (name, producer) in PRODUCERS {
        let topic = system.topic(name);
        topic.grow_to(MORE).await?;
        system.stop(producer).await?;
        system.restart(producer).await?;
        let begun = Instant::now();
        place(&system).await?;
        println!("{name}: the orders are final after {:?}", begun.elapsed());

        let records = topic.records().await?;
        let added = records.iter().filter(|it| it.partition >= PARTITIONS);
        assert_ne!(added.count(), 0, "no event is on a new partition of {name}");
    }
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
