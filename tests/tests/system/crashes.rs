//! SIGKILL during a run: after the restart nothing is lost or repeated, and every order gets its outcome.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use proto::orders::v1::Order;
use tests::system::{Draft, Service, System, eventually};
use tokio::time::sleep;

/// Orders of a run, and how many are confirmed when the process is killed.
const ORDERS: usize = 60;
const CONFIRMED_BEFORE_THE_KILL: usize = 20;

/// Long enough for a restarted consumer to join the group, shorter than the session timeout after which the dead one is
/// removed: both are members at that time.
const BETWEEN_KILLS: Duration = Duration::from_secs(2);

/// Concurrent clients, each placing its orders sequentially.
const CLIENTS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_order_service_is_killed() -> Result<()> {
    survives_kills_of(System::start().await?, &[Service::Orders]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_processing_service_is_killed() -> Result<()> {
    survives_kills_of(System::start().await?, &[Service::Processing]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_broker_is_killed() -> Result<()> {
    let system = System::start_with_own_broker().await?;
    survives_kills_of(system, &[Service::Broker]).await
}

/// The broker dies before it has detected the death of its consumers, and must not restore them as members.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_everything_is_killed_in_turn() -> Result<()> {
    let system = System::start_with_own_broker().await?;
    let services = [Service::Orders, Service::Processing, Service::Broker];
    survives_kills_of(system, &services).await
}

async fn survives_kills_of(system: System, services: &[Service]) -> Result<()> {
    let confirmed = AtomicUsize::new(0);
    let clients = (0..CLIENTS).map(|_| place_in_turn(&system, &confirmed));
    let kills_amid_the_run = async {
        eventually("some orders are confirmed", async || {
            let count = confirmed.load(Ordering::Relaxed);
            Ok((count >= CONFIRMED_BEFORE_THE_KILL).then_some(()))
        })
        .await?;
        for service in services {
            system.kill(*service).await?;
            sleep(BETWEEN_KILLS).await;
        }
        Ok(())
    };

    let (placed, ()) = tokio::try_join!(try_join_all(clients), kills_amid_the_run)?;

    let orders = placed.concat();
    assert_eq!(orders.len(), ORDERS);
    for order in &orders {
        system.watch_until_final(&order.order_id).await?;
    }
    assert_eq!(system.stock("LAMP").await?.shipped, i64::try_from(ORDERS)?);
    system.finish().await
}

async fn place_in_turn(system: &System, confirmed: &AtomicUsize) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    for _ in 0..ORDERS / CLIENTS {
        let draft = Draft::of("LAMP", 1);
        orders.push(system.place_order_retrying(&draft).await?);
        confirmed.fetch_add(1, Ordering::Relaxed);
    }
    Ok(orders)
}
