//! The command on a real store.

use std::sync::Arc;

use super::*;
use crate::fixture::Fixture;
use crate::store::sqlite::SqliteStore;

fn parsed(arguments: &[&str]) -> Result<Command, clap::Error> {
    let parsed = Orders::try_parse_from([&["orders"], arguments].concat());
    parsed.map(|orders| orders.command)
}

async fn run(fixture: &Fixture, arguments: &[&str]) -> (String, Result<(), OrdersError>) {
    let store = SqliteStore::new(Arc::clone(&fixture.database));
    let mut output = Vec::new();
    let done = execute(&parsed(arguments).unwrap(), &store, &mut output).await;
    (String::from_utf8(output).unwrap(), done)
}

#[tokio::test]
async fn open_orders_are_published_by_age_and_audited_with_their_operator() {
    let fixture = Fixture::start().await;
    // Placed in 1970.
    let (one, two) = (fixture.placed().await, fixture.placed().await);

    let (dry, done) = run(&fixture, &["republish", "--open-for", "60m", "--dry-run"]).await;
    done.unwrap();
    assert!(dry.contains("would publish 2 of 2 orders"), "{dry}");
    let (audit, _) = run(&fixture, &["audit"]).await;
    assert_eq!(audit, "");

    let actor = ["--actor", "ada", "--per-second", "1000000"];
    let all = [&["republish", "--open-for", "60m"][..], &actor].concat();
    let (output, done) = run(&fixture, &all).await;
    done.unwrap();
    for order_id in [one, two] {
        let line = format!("published {order_id}: OrderPlaced");
        assert!(output.contains(&line), "{output}");
    }
    let (audit, _) = run(&fixture, &["audit"]).await;
    assert_eq!(audit.lines().count(), 2);
    let latest = audit.lines().next().unwrap();
    assert!(
        latest.ends_with(&format!("ada  republish  {two}  OrderPlaced")),
        "{latest}"
    );
}

#[tokio::test]
async fn an_unknown_order_is_refused_by_its_id() {
    let fixture = Fixture::start().await;
    let unknown = "0197d1c2-0000-7000-8000-000000000001";

    let (output, done) = run(&fixture, &["republish", unknown]).await;

    assert!(
        output.contains(&format!("there is no order {unknown}")),
        "{output}"
    );
    assert_eq!(done.unwrap_err().to_string(), "1 of 1 were refused");
}

#[test]
fn wrong_usage_is_refused() {
    for wrong in [
        &[][..],
        &["delete"],
        &["republish"],
        &["republish", "first"],
        &["republish", "--open-for", "long"],
        &[
            "republish",
            "0197d1c2-0000-7000-8000-000000000001",
            "--open-for",
            "60m",
        ],
        &["republish", "--open-for", "60m", "--per-second", "0"],
        &["republish", "--open-for", "60m", "--actor", "a\nb"],
        &["audit", "--limit", "0"],
    ] {
        let refused = parsed(wrong).is_err_and(|error| error.use_stderr());
        assert!(refused, "{wrong:?}");
    }
}
