//! The audit of a system without an inbox: it must find violations, otherwise a green audit proves nothing.
//!
//! Needs services built with the feature `crash-points`, as `tests/run.sh` builds them.

use anyhow::{Context as _, Result};
use auditor::{Limits, rules};
use proto::orders::v1::{Order, OrderStatus};
use proto::topics;
use tests::system::{Draft, Service, System, eventually};

/// How long an order stays unfinished: enough to deliver one of its events again.
const UNFINISHED: &str = "10s";

#[tokio::test(flavor = "multi_thread")]
async fn the_auditor_goes_red_when_the_inbox_is_off() -> Result<()> {
    let system = System::start_with(&[
        (Service::Orders, "INBOX", "off"),
        (Service::Processing, "INBOX", "off"),
        (Service::Processing, "PAYMENT_TIMEOUT", UNFINISHED),
    ])
    .await?;

    let applied_again = apply_an_outcome_again(&system).await?;
    let processed_again = process_an_order_again(&system).await?;

    let verdict = system.verdict(Limits::default()).await?;
    let found = verdict.violations_of(rules::EFFECT_ONCE);
    let is_found = |order: &Order, words: &str| {
        let of_order = found.iter().filter(|it| it.contains(&order.order_id));
        of_order.filter(|it| it.contains(words)).count() == 1
    };
    assert!(
        is_found(&applied_again, "has the event StockReserved")
            && is_found(&processed_again, "was published as StockReserved in")
            && is_found(&processed_again, "was published as OrderRejected in"),
        "{verdict}"
    );
    system.discard().await
}

/// Delivers an outcome again while its order is still being processed: a final order would refuse it anyway.
async fn apply_an_outcome_again(system: &System) -> Result<Order> {
    let draft = Draft::of("MUG", 1).paid_with("tok_timeout_once");
    let order = system.place_order(&draft).await?;
    system
        .watch_until(&order.order_id, OrderStatus::Processing)
        .await?;

    deliver_again(system, topics::PROCESSING_EVENTS, &order).await?;

    system.watch_until_final(&order.order_id).await?;
    Ok(order)
}

/// Delivers the placement of a final order again.
async fn process_an_order_again(system: &System) -> Result<Order> {
    let draft = Draft::of("MUG", 1).paid_with("tok_declined");
    let order = system.place_order(&draft).await?;
    system.watch_until_final(&order.order_id).await?;

    deliver_again(system, topics::ORDER_EVENTS, &order).await?;

    let outcomes = system.topic(topics::PROCESSING_EVENTS);
    eventually("the order is processed again", async || {
        let outcomes = outcomes.records_about(&order.order_id).await?;
        Ok((outcomes.len() >= 4).then_some(()))
    })
    .await?;
    Ok(order)
}

/// Publishes the first record of an order again.
async fn deliver_again(system: &System, topic: &'static str, order: &Order) -> Result<()> {
    let topic = system.topic(topic);
    let records = topic.records_about(&order.order_id).await?;
    let first = records.first().context("the order has no record")?;
    topic.publish(first).await
}
