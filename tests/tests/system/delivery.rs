//! Repeated delivery of all events, also in another order: effects are not repeated.

use anyhow::Result;
use auditor::Limits;
use proto::orders::v1::{Order, OrderHistoryEntry};
use proto::topics;
use tests::system::{Draft, Service, Stock, System, Topic, eventually};

/// The consumer of each topic.
const CONSUMERS: [(&str, Service); 2] = [
    (topics::ORDER_EVENTS, Service::Processing),
    (topics::PROCESSING_EVENTS, Service::Orders),
];

/// Orders of each kind: enough for several on each of the six partitions.
const ORDERS: usize = 10;

/// Resets the offsets of both groups to the first record, as an operator might.
#[tokio::test(flavor = "multi_thread")]
async fn rereading_both_topics_from_the_beginning_changes_nothing() -> Result<()> {
    let system = System::start().await?;
    let orders = place_some(&system).await?;
    let before = outcome(&system, &orders).await?;
    for service in Service::PAIR {
        system.stop(service).await?;
    }

    for (topic, group) in CONSUMERS {
        let topic = system.topic(topic);
        topic.rewind(group).await?;
        assert!(!topic.is_consumed_by(group).await?);
    }
    system.restart(Service::Processing).await?;
    system.restart(Service::Orders).await?;

    changes_nothing(system, &orders, before, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_delivered_twice_and_in_swapped_order_change_nothing() -> Result<()> {
    let system = System::start().await?;
    let orders = place_some(&system).await?;
    let before = outcome(&system, &orders).await?;

    let mut repeated = 0;
    for (topic, _) in CONSUMERS {
        let topic = system.topic(topic);
        let mut again = topic.records().await?;
        again.chunks_mut(2).for_each(<[_]>::reverse);
        topic.publish_together(&again).await?;
        topic.publish_together(&again).await?;
        repeated += 2 * again.len();
    }

    changes_nothing(system, &orders, before, repeated).await
}

/// The observable state of some orders and of their stock.
type Outcome = (Vec<Vec<OrderHistoryEntry>>, Stock, Vec<Option<String>>);

/// Orders in every final state.
async fn place_some(system: &System) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        for token in ["tok_approved", "tok_declined", "tok_slow"] {
            let draft = Draft::of("LAMP", 1).paid_with(token);
            let order = system.place_order(&draft).await?;
            if token == "tok_slow" {
                // At once: even a slow capture ends within seconds.
                system.cancel(&order.order_id).await?;
            }
            orders.push(order);
        }
    }
    system.all_become_final(&orders).await?;
    Ok(orders)
}

async fn outcome(system: &System, orders: &[Order]) -> Result<Outcome> {
    let mut histories = Vec::new();
    let mut payments = Vec::new();
    for order in orders {
        histories.push(system.watch_until_final(&order.order_id).await?);
        payments.push(system.payment(&order.order_id).await?);
    }
    Ok((histories, system.stock("LAMP").await?, payments))
}

async fn changes_nothing(
    system: System,
    orders: &[Order],
    before: Outcome,
    repeated: usize,
) -> Result<()> {
    for (topic, group) in CONSUMERS {
        is_consumed(&system.topic(topic), group).await?;
    }
    assert_eq!(outcome(&system, orders).await?, before);
    for dead_letters in [
        topics::ORDER_EVENTS_DEAD_LETTERS,
        topics::PROCESSING_EVENTS_DEAD_LETTERS,
    ] {
        assert!(system.topic(dead_letters).records().await?.is_empty());
    }
    let limits = Limits {
        wire_duplicates: Some(u64::try_from(repeated)?),
        set_aside: Some(0),
        ..Limits::default()
    };
    system.finish_within(limits).await.map(drop)
}

async fn is_consumed(topic: &Topic, group: Service) -> Result<()> {
    eventually(&format!("{group} has reread everything"), async || {
        Ok(topic.is_consumed_by(group).await?.then_some(()))
    })
    .await
}
