//! Independent failures: a component that is down delays outcomes, never confirmations.

use anyhow::Result;
use proto::orders::v1::OrderStatus;
use tests::system::{Draft, Service, System};

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_confirmed_while_the_broker_is_down_and_catch_up_later() -> Result<()> {
    confirmed_while_down(System::start_with_own_broker().await?, Service::Broker).await
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_confirmed_while_processing_is_down_and_catch_up_later() -> Result<()> {
    confirmed_while_down(System::start().await?, Service::Processing).await
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_wait_until_order_service_is_back() -> Result<()> {
    let system = System::start().await?;
    let draft = Draft::of("MUG", 1).paid_with("tok_slow");
    let order = system.place_order(&draft).await?;
    let mut watched = system
        .watch_until(&order.order_id, OrderStatus::Processing)
        .await?;

    system.stop(Service::Orders).await?;
    system.payment_is(&order.order_id, "CAPTURED").await?;
    system.restart(Service::Orders).await?;

    let version = watched.pop().map_or(0, |entry| entry.version);
    let rest = system
        .watch_until_final_after(&order.order_id, version)
        .await?;
    assert_eq!(rest.first().map(|entry| entry.version), Some(version + 1));
    assert_eq!(
        system.order(&order.order_id).await?.status(),
        OrderStatus::Fulfilled
    );
    system.finish().await
}

async fn confirmed_while_down(system: System, service: Service) -> Result<()> {
    system.stop(service).await?;

    let mut orders = Vec::new();
    for _ in 0..5 {
        let order = system.place_order(&Draft::of("MUG", 1)).await?;
        assert_eq!(order.status(), OrderStatus::Accepted);
        orders.push(order);
    }
    system.restart(service).await?;

    for order in &orders {
        system.watch_until_final(&order.order_id).await?;
        let order = system.order(&order.order_id).await?;
        assert_eq!(order.status(), OrderStatus::Fulfilled);
    }
    system.finish().await
}
