//! Several replicas of each service on one database and one broker: unfinished work of one replica is done by another,
//! once.
//!
//! Only on the production engines: the embedded ones have one replica.

use std::time::Duration;

use anyhow::{Context as _, Result};
use auditor::Limits;
use proto::orders::v1::{Order, WatchOrderRequest};
use tests::system::{Draft, Process, Service, System};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// The shards of a dead relay are taken over when its lease has expired, after 5 s; its partitions after a session of
/// 10 s.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(20);

/// Longer than the lease of 5 s, shorter than the session of 10 s.
const BEYOND_THE_LEASE: Duration = Duration::from_secs(8);

/// Longer than the session timeout plus a rebalance.
const BEYOND_THE_SESSION: Duration = Duration::from_secs(15);

/// How long orders are placed before and after the fault.
const WARM_UP: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn an_order_placed_on_one_replica_can_be_watched_on_another() -> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    for (place, watch) in [(0, 1), (1, 0), (0, 1)] {
        let draft = Draft::of("MUG", 1).paid_with("tok_slow");
        let placed = system
            .client_of(place)?
            .place_order(draft.request())
            .await?;
        let order = placed.into_inner().order.context("an order")?;

        let request = WatchOrderRequest {
            order_id: order.order_id,
            after_version: 0,
        };
        let watched = system.client_of(watch)?.watch_order(request).await?;
        let mut stream = watched.into_inner();
        let mut events = Vec::new();
        while let Some(entry) = stream.message().await?.and_then(|response| response.entry) {
            events.push(entry.event_type);
        }

        assert_eq!(
            events,
            [
                "OrderPlaced",
                "StockReserved",
                "PaymentCaptured",
                "OrderFulfilled"
            ]
        );
    }
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_replica_publishes_the_events_of_a_killed_order_service() -> Result<()> {
    taken_over_after_a_kill(Service::Orders).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_replica_finishes_the_work_of_a_killed_processing_service() -> Result<()> {
    taken_over_after_a_kill(Service::Processing).await
}

async fn taken_over_after_a_kill(service: Service) -> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    let victim = first(&system, service);
    let (orders, (killed_at, at_risk)) = system
        .under_load(async {
            sleep(WARM_UP).await;
            system.kill_for_good(victim).await?;
            let killed_at = Instant::now();
            let at_risk = system.unpublished(service).await?;
            sleep(WARM_UP).await;
            Ok((killed_at, at_risk))
        })
        .await?;

    system.all_become_final(&orders).await?;

    let took = killed_at.elapsed();
    assert!(took < TAKEN_OVER_WITHIN, "taken over after {took:?} only");
    system.restart(service).await?;
    ends_well(system, &orders, at_risk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_service_frozen_beyond_its_lease_publishes_nothing_out_of_order() -> Result<()> {
    survives_a_freeze_of(Service::Orders, BEYOND_THE_LEASE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processing_service_frozen_beyond_its_lease_does_nothing_twice() -> Result<()> {
    survives_a_freeze_of(Service::Processing, BEYOND_THE_LEASE).await
}

/// When it resumes, its partitions belong to another replica, and some of their events are between two steps.
#[tokio::test(flavor = "multi_thread")]
async fn a_processing_service_frozen_beyond_its_session_commits_nothing_of_its_lost_partitions()
-> Result<()> {
    survives_a_freeze_of(Service::Processing, BEYOND_THE_SESSION).await
}

async fn survives_a_freeze_of(service: Service, frozen: Duration) -> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    let victim = first(&system, service);
    let (orders, at_risk) = system
        .under_load(async {
            sleep(WARM_UP).await;
            system.stack().pause(victim).await?;
            let at_risk = system.unpublished(service).await?;
            sleep(frozen).await;
            system.stack().resume(victim).await?;
            sleep(WARM_UP).await;
            Ok(at_risk)
        })
        .await?;

    system.all_become_final(&orders).await?;

    assert_eq!(system.stack().restarts(), 0);
    ends_well(system, &orders, at_risk).await
}

/// The riskiest path of a consumer: partitions are revoked and assigned again while their events are in flight.
#[tokio::test(flavor = "multi_thread")]
async fn many_rebalances_lose_and_duplicate_nothing() -> Result<()> {
    const REPLICAS: u16 = 3;
    const STEPS: usize = 30;
    let Some(system) = System::start_replicas(REPLICAS).await? else {
        return Ok(());
    };
    let (orders, at_risk) = system
        .under_load(async {
            let mut at_risk = 0;
            let mut every_two_seconds = interval(Duration::from_secs(2));
            // A stop may take longer than that; the interval to the next change stays the same.
            every_two_seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for step in 0..STEPS {
                every_two_seconds.tick().await;
                at_risk += shake(&system, step).await?;
            }
            Ok(at_risk)
        })
        .await?;

    system.restart(Service::Processing).await?;
    system.all_become_final(&orders).await?;

    ends_well(system, &orders, at_risk).await
}

/// One member of the group leaves or joins: alternately by a stop, a start, or a kill with a restart by the stack.
/// Returns the maximum number of duplicates from it; a clean stop causes none.
async fn shake(system: &System, step: usize) -> Result<u64> {
    let processes = system.stack().processes(Service::Processing);
    let (quiet, loud) = (processes[1], processes[2]);
    match step % 3 {
        0 => {
            // A process without its signal handlers yet would be killed by the signal.
            system.stack().until_ready(quiet).await;
            let ending = system.stack().stop_process(quiet).await;
            let ending = ending.context("it was running")?;
            assert!(ending.is_clean(), "{quiet}: {ending}");
        }
        1 => system.stack().launch(quiet).await?,
        _ => {
            system.stack().kill(loud).await?;
            return system.unpublished(Service::Processing).await;
        }
    }
    Ok(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_concurrently_migrate_the_schema_without_a_crash() -> Result<()> {
    let migrate = |service| (service, "DATABASE_MIGRATE", "true");
    let environment = Service::PAIR.map(migrate);
    let Some(system) = System::start_without_services(&environment).await? else {
        return Ok(());
    };
    for service in Service::PAIR {
        system.run(service, "topics").await?;
    }

    tokio::try_join!(
        system.restart(Service::Orders),
        system.restart(Service::Processing)
    )?;

    assert_eq!(system.stack().restarts(), 0);
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;
    system.finish().await
}

fn first(system: &System, service: Service) -> Process {
    system.stack().processes(service)[0]
}

/// Every order is shipped once, the topics have few duplicates and nothing out of order, and the audit is green.
///
/// Rows that a relay has published but not yet deleted when it dies or freezes are published again by the next owner of
/// its shards. All of them are in the outbox at that moment, and no other replica deletes them while the lease is held.
/// So the duplicates of a run are at most the rows `at_risk` in the outbox at its faults, independent of load and
/// machine.
async fn ends_well(system: System, orders: &[Order], at_risk: u64) -> Result<()> {
    assert!(!orders.is_empty());
    let shipped = system.stock("LAMP").await?.shipped;
    assert_eq!(shipped, i64::try_from(orders.len())?);
    let limits = Limits {
        wire_duplicates: Some(at_risk),
        set_aside: Some(0),
        ..Limits::default()
    };
    let verdict = system.finish_within(limits).await?;
    println!("{at_risk} events at risk\n{verdict}");
    Ok(())
}
