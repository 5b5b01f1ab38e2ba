//! The program: arguments, output and exit codes.

use std::process::{Command, Output};

use auditor::database::Database;

use super::books::Books;

fn check(books: &Books, more: &[&str]) -> Output {
    let inputs = books.inputs();
    let url = |database: &Database| match database {
        Database::Sqlite(path) => format!("sqlite://{}", path.display()),
        Database::Postgres(url) => url.clone(),
    };
    Command::new(env!("CARGO_BIN_EXE_auditor"))
        .arg("check")
        .arg("--journal")
        .arg(inputs.journal.unwrap())
        .args(["--orders-database", &url(&inputs.databases.orders)])
        .args(["--processing-database", &url(&inputs.databases.processing)])
        .arg("--topics")
        .arg(inputs.topics)
        .args(more)
        .output()
        .unwrap()
}

#[tokio::test]
async fn it_exits_with_0_without_violations() {
    let books = Books::sound().await;

    let output = check(
        &books,
        &["--wire-duplicates-at-most", "0", "--stopped-cleanly"],
    );

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("audit: green, 3 orders in the database, all known to the client\n"));
    for rule in ["no-loss", "offsets", "accounting"] {
        assert!(said.contains(rule), "{said}");
    }
}

#[tokio::test]
async fn it_exits_with_1_and_writes_the_verdict_with_violations() {
    let books = Books::sound().await;
    books.change("DELETE FROM processing.shipments").await;
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("verdict.json");

    let output = check(&books, &["--json", json.to_str().unwrap()]);

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let verdict: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let violation = &verdict["rules"][2]["violations"][0];
    assert_eq!(violation["order_id"], super::books::order_id('1'));
    assert_eq!(violation["invoice"], "536365");
    assert_eq!(violation["fault"], "is FULFILLED, but was not shipped");
}

#[tokio::test]
async fn databases_of_another_installation_or_service_are_no_evidence() {
    let of_another = Books::sound().await;
    of_another
        .change("UPDATE processing.installation SET kafka_topic_prefix = 'shop-b.'")
        .await;
    let of_one_service = Books::sound().await;
    of_one_service
        .change("UPDATE main.installation SET service = 'processing-service'")
        .await;
    for (books, more, message) in [
        (
            &of_another,
            &[][..],
            "belongs to processing-service with KAFKA_TOPIC_PREFIX \"shop-b.\", the audit is of the installation with \"\"",
        ),
        (
            &of_another,
            &["--topic-prefix", "shop-b."],
            "belongs to order-service with KAFKA_TOPIC_PREFIX \"\"",
        ),
        (
            &of_one_service,
            &[],
            "the database of order-service belongs to processing-service",
        ),
    ] {
        let output = check(books, more);

        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(message), "{said}");
    }
}

#[tokio::test]
async fn it_exits_with_2_when_an_input_cannot_be_read() {
    let mut books = Books::sound().await;
    books.journal_tail = "nonsense\n";

    let output = check(&books, &[]);

    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("of the journal"), "{said}");
}
