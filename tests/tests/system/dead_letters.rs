//! The `dead-letters` command lists dead events, and redrives or skips them.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use proto::orders::v1::OrderStatus;
use proto::topics;
use serde_json::Value;
use tests::system::{Draft, Service, System, TopicRecord, eventually, run_to_end};

/// A failing event becomes DEAD within seconds: one second of in-memory retries, then retries after 0.1, 0.5 and 2.5
/// seconds.
const SHORT_RETRY: [(Service, &str, &str); 2] = [
    (Service::Processing, "RETRY_FOR", "1s"),
    (Service::Processing, "RETRY_STORE_DELAY", "100ms"),
];

fn text(output: &Output) -> String {
    let both = [&*output.stdout, &*output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Output of the `dead-letters` command; an error if it fails.
async fn dead_letters_command(
    system: &System,
    service: Service,
    arguments: &[&str],
) -> Result<String> {
    let output = system.dead_letters(service, arguments).await?;
    ensure!(output.status.success(), "{arguments:?}: {}", text(&output));
    Ok(text(&output))
}

async fn stored(system: &System, service: Service) -> Result<Vec<Value>> {
    let list = dead_letters_command(system, service, &["list", "--json"]).await?;
    list.lines()
        .map(|line| serde_json::from_str(line).context("a line of the list"))
        .collect()
}

async fn until_dead(system: &System, service: Service) -> Result<Value> {
    eventually("an event is dead", async || {
        let stored = stored(system, service).await?;
        Ok(stored.into_iter().find(|event| event["state"] == "dead"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_refund_is_moved_to_the_retry_store_listed_and_redriven_to_success() -> Result<()>
{
    // The simulated provider keeps its state in one process.
    let system = System::start_one_of_each(&SHORT_RETRY).await?;
    let draft = Draft::of("MUG", 1).paid_with("tok_refund_stuck");
    let order = system.place_order(&draft).await?;

    let dead = until_dead(&system, Service::Processing).await?;
    assert_eq!(dead["key"], *order.order_id);
    assert_eq!(dead["class"], "retries-spent");
    let id = dead["id"].to_string();
    let shown = dead_letters_command(&system, Service::Processing, &["show", &id]).await?;
    assert!(shown.contains("payment_token: \"(not shown)\""), "{shown}");
    assert!(!shown.contains("tok_"), "{shown}");

    // The provider is down for longer than one redrive lasts, so the operator redrives again.
    eventually("the redrive succeeds", async || {
        let ended = system.order(&order.order_id).await?.status() == OrderStatus::Rejected;
        let stored = stored(&system, Service::Processing).await?;
        if stored.iter().any(|event| event["state"] == "dead") {
            let redrive = ["redrive", &id, "--actor", "ada"];
            dead_letters_command(&system, Service::Processing, &redrive).await?;
        }
        Ok((ended && stored.is_empty()).then_some(()))
    })
    .await?;

    let audit = dead_letters_command(&system, Service::Processing, &["audit"]).await?;
    assert!(
        audit.contains("ada") && audit.contains("redrive"),
        "{audit}"
    );
    assert!(audit.contains(&order.order_id), "{audit}");
    system.finish().await
}

/// An undecodable record with the key of an order.
fn poison(partition: i32, order_id: &str) -> TopicRecord {
    TopicRecord {
        partition,
        offset: 0,
        timestamp: None,
        key: Some(order_id.as_bytes().to_vec()),
        headers: vec![(b"ce_type".to_vec(), Some(b"com.example.nonsense".to_vec()))],
        payload: Some(vec![0xff; 32]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skipping_an_event_releases_the_outcomes_behind_it_in_order() -> Result<()> {
    let system = System::start().await?;
    system.stop(Service::Processing).await?;
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    let placed = eventually("the order is published", async || {
        let orders = system.topic(topics::ORDER_EVENTS);
        Ok(orders.records_about(&order.order_id).await?.pop())
    })
    .await?;
    // Both topics have the same number of partitions, so all records of the order are in the same one.
    let poison = poison(placed.partition, &order.order_id);
    system
        .topic(topics::PROCESSING_EVENTS)
        .publish(&poison)
        .await?;
    let dead = until_dead(&system, Service::Orders).await?;
    let id = dead["id"].to_string();
    assert_eq!(
        (&dead["class"], &dead["redrives"]),
        (&"rejected".into(), &0.into())
    );

    system.restart(Service::Processing).await?;
    eventually("three outcomes wait behind it", async || {
        let stored = stored(&system, Service::Orders).await?;
        Ok((stored.len() == 4 && stored[0]["behind"] == 3).then_some(()))
    })
    .await?;
    let waiting = system.order(&order.order_id).await?;
    assert_eq!(waiting.status(), OrderStatus::Accepted);
    is_dead_again_after_a_redrive(&system, &id).await?;

    let skip = ["skip", &id, "--reason", "a test record", "--actor", "ada"];
    dead_letters_command(&system, Service::Orders, &skip).await?;

    system.watch_until_final(&order.order_id).await?;
    let order = system.order(&order.order_id).await?;
    assert_eq!(order.status(), OrderStatus::Fulfilled);
    let audit = dead_letters_command(&system, Service::Orders, &["audit", "--json"]).await?;
    let actions: Vec<Value> = audit
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    assert_eq!(actions[0]["action"], "skip");
    assert_eq!(actions[1]["action"], "redrive");
    assert!(actions[0]["detail"].to_string().contains("a test record"));
    system.finish().await
}

async fn is_dead_again_after_a_redrive(system: &System, id: &str) -> Result<()> {
    dead_letters_command(
        system,
        Service::Orders,
        &["redrive", "--all", "--actor", "ada"],
    )
    .await?;
    eventually("it is dead again", async || {
        let stored = stored(system, Service::Orders).await?;
        let id: Value = id.parse()?;
        let event = stored.iter().find(|event| event["id"] == id);
        let event = event.context("the event is in the retry store")?;
        Ok((event["state"] == "dead" && event["redrives"] == 1).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_operator_commands_are_refused_with_their_exit_code() -> Result<()> {
    let home = tempfile::tempdir()?;
    let nowhere = format!("sqlite://{}/none.db", home.path().display());
    let url = [("DATABASE_URL", &*nowhere)];
    for service in Service::PAIR {
        for (arguments, environment, code, said) in [
            (&["dead-letters"][..], &[][..], 64, "Usage"),
            (&["dead-letters", "redrive"], &[], 64, "--all"),
            (
                &["dead-letters", "list", "--state", "alive"],
                &[],
                64,
                "waiting, dead, skipped",
            ),
            (
                &["dead-letters", "list"],
                &[("DATABASE_URL", "mysql://x")],
                78,
                "DATABASE_URL",
            ),
            (
                &["dead-letters", "list"],
                &url,
                78,
                "there is no database at",
            ),
            (
                &["dead-letters", "redrive", "--help"],
                &[],
                0,
                "--per-second",
            ),
        ] {
            let output = run_to_end(service, arguments, environment).await?;

            let told = text(&output);
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
            assert!(told.contains(said), "{arguments:?}: {told}");
        }
    }
    assert!(!home.path().join("none.db").exists(), "nothing is created");
    Ok(())
}
