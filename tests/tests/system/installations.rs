//! Installations that share a Kafka, and services that are started on a database of another service or installation.

use anyhow::{Context as _, Result};
use auditor::database::Database;
use futures::future::try_join_all;
use proto::orders::v1::OrderStatus;
use proto::topics;
use tests::system::{Draft, Service, System, run_to_end};

/// With shared topics and groups, each installation took about half of the other's events: of 15 orders each, some stay
/// ACCEPTED with a probability of 1 - 2^-30.
const ORDERS: usize = 15;

#[tokio::test(flavor = "multi_thread")]
async fn two_installations_on_one_kafka_each_complete_their_own_orders() -> Result<()> {
    let first = System::start_installation("shop-a.").await?;
    let second = first.start_installation_beside("shop-b.").await?;

    tokio::try_join!(complete_orders(&first), complete_orders(&second))?;

    for system in [&first, &second] {
        for topic in [topics::ORDER_EVENTS, topics::PROCESSING_EVENTS] {
            let records = system.topic(topic).records().await?;
            let per_order = if topic == topics::ORDER_EVENTS { 1 } else { 3 };
            assert_eq!(records.len(), ORDERS * per_order, "{topic}");
        }
        for topic in [
            topics::ORDER_EVENTS_DEAD_LETTERS,
            topics::PROCESSING_EVENTS_DEAD_LETTERS,
        ] {
            assert!(system.topic(topic).records().await?.is_empty(), "{topic}");
        }
    }
    // The second one first: it runs on the broker of the first.
    second.finish().await?;
    first.finish().await
}

async fn complete_orders(system: &System) -> Result<()> {
    let orders = (0..ORDERS).map(async |_| {
        let order = system.place_order(&Draft::of("MUG", 1)).await?;
        let history = system.watch_until_final(&order.order_id).await?;
        let last = history.last().context("a history")?;
        assert_eq!(last.status(), OrderStatus::Fulfilled);
        anyhow::Ok(())
    });
    try_join_all(orders).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_refuses_the_database_of_another_service_or_installation_and_says_whose_it_is()
-> Result<()> {
    let system = System::start_installation("shop-a.").await?;
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;

    for (service, other) in [
        (Service::Orders, Service::Processing),
        (Service::Processing, Service::Orders),
    ] {
        let database = url(&system, other);
        let whose = format!("the database belongs to {other} with KAFKA_TOPIC_PREFIX \"shop-a.\"");
        refuses(&system, service, &[("DATABASE_URL", &database)], &whose).await?;
        let own = url(&system, service);
        let renamed = [("DATABASE_URL", &*own), ("KAFKA_TOPIC_PREFIX", "shop-b.")];
        refuses(&system, service, &renamed, "set KAFKA_TOPIC_PREFIX back").await?;
    }

    let another = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&another.order_id).await?;
    system.finish().await
}

fn url(system: &System, service: Service) -> String {
    match system.stack().database(service) {
        Database::Sqlite(path) => format!("sqlite://{}", path.display()),
        Database::Postgres(url) => url,
    }
}

/// The service itself, its migration and its operator command end with one line and the exit code of a wrong setting.
async fn refuses(
    system: &System,
    service: Service,
    changed: &[(&str, &str)],
    advice: &str,
) -> Result<()> {
    let settings = system.stack().settings(service);
    let mut settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    settings.extend([("GRPC_LISTEN", "127.0.0.1:0")]);
    settings.extend(changed);
    for subcommand in [&[][..], &["migrate"], &["dead-letters", "list"]] {
        let output = run_to_end(service, subcommand, &settings).await?;

        let message = String::from_utf8(output.stderr)?;
        let case = format!("{service} {subcommand:?}: {message}");
        assert_eq!(output.status.code(), Some(78), "{case}");
        assert!(message.contains(advice), "{case}");
        assert_eq!(message.trim_end().lines().count(), 1, "{case}");
    }
    Ok(())
}
