//! Topics that change under the services: they grow, or are deleted and made again. Only on the production engines: the
//! embedded broker's topics stay as they are.

use anyhow::Result;
use proto::topics;
use tests::system::{Draft, Service, System, eventually};
use tokio::time::Instant;

/// As the stack creates its topics, and what they grow to.
const PARTITIONS: i32 = 6;
const MORE: usize = 9;

/// So many that some are on each of the new partitions.
const ORDERS: usize = 60;

const TOPICS: [&str; 2] = [topics::ORDER_EVENTS, topics::PROCESSING_EVENTS];

/// Between orders: a key moves to another partition with the number of partitions, so an order that is under way might be
/// overtaken by itself.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_added_between_orders_are_used_and_read_from_their_first_record()
-> Result<()> {
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

/// Unconsumed records are lost with their topic; later ones are not. Both services must be stopped meanwhile.
/// A broker forgets a group's offsets with the topic, a consumer that runs does not, and may go on in the middle of the new
/// one; and a broker may acknowledge a record while the topic is on its way out (see docs/faults.md).
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_again_while_both_services_are_stopped_is_read_from_its_first_record()
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
    eventually("it can be made again", async || {
        Ok(topic.create(PARTITIONS).await.ok())
    })
    .await?;
    system.restart(Service::Orders).await?;
    // More than were on the old one.
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
    // Not audited: the auditor misses the events that were deleted.
    system.discard().await
}

/// Places orders one after the other and waits until they are final.
async fn place(system: &System) -> Result<()> {
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(system.place_order(&Draft::of("LAMP", 1)).await?);
    }
    system.all_become_final(&orders).await
}
