//! Topics that change under the services: they grow, or are deleted and made again. Only on the production engines: the
//! embedded broker's topics stay as they are.

use anyhow::{Context as _, Result};
use proto::topics;
use tests::system::{Draft, Service, System, eventually};
use tokio::time::Instant;

/// As the stack creates its topics, and what they grow to.
const PARTITIONS: i32 = 6;
const MORE: usize = 9;

/// So many that some are on each of the new partitions.
const ORDERS: usize = 60;

/// Who consumes which topic.
const CONSUMERS: [(&str, Service); 2] = [
    (topics::ORDER_EVENTS, Service::Processing),
    (topics::PROCESSING_EVENTS, Service::Orders),
];

/// Between orders: a key moves to another partition with the number of partitions, so an order that is under way might be
/// overtaken by itself.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_added_between_orders_are_used_and_read_from_their_first_record()
-> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    place(&system).await?;

    for (name, _) in CONSUMERS {
        system.topic(name).grow_to(MORE).await?;
    }
    let begun = Instant::now();
    eventually("events are on a new partition of both topics", async || {
        place(&system).await?;
        let mut used = 0;
        for (name, _) in CONSUMERS {
            let records = system.topic(name).records().await?;
            used += usize::from(records.iter().any(|record| record.partition >= PARTITIONS));
        }
        Ok((used == CONSUMERS.len()).then_some(()))
    })
    .await?;
    println!("new partitions are used after {:?}", begun.elapsed());

    place(&system).await?;
    assert_eq!(system.stack().restarts(), 0);
    system.finish().await
}

/// The offsets that a consumer has in memory belong to the topic that is gone. If it went on from them, it would skip
/// what is on the new one below them.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_again_is_read_from_its_first_record() -> Result<()> {
    for (name, _) in CONSUMERS {
        let Some(system) = System::start_on_production(&[]).await? else {
            return Ok(());
        };
        place(&system).await?;
        let topic = system.topic(name);

        topic.delete().await?;
        eventually("it can be made again", async || {
            Ok(topic.create(PARTITIONS).await.ok())
        })
        .await?;
        // More records than were on the old one, before anybody has noticed.
        place(&system).await?;
        place(&system).await?;

        system
            .finish()
            .await
            .with_context(|| format!("{name} was made again"))?;
    }
    Ok(())
}

/// Places orders one after the other and waits until they are final.
async fn place(system: &System) -> Result<()> {
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(system.place_order(&Draft::of("LAMP", 1)).await?);
    }
    system.all_become_final(&orders).await
}
