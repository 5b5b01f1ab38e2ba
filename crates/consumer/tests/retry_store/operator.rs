//! The output of `dead-letters`, and `redrive` of many events.

use std::time::{Duration, Instant};

use clap::Parser as _;
use consumer::operator::arguments::DeadLetters;
use consumer::operator::{OperatorError, Vocabulary, execute};
use consumer::retry_store::operations::{Filter, OperatorRefusal, State};
use consumer::retry_store::{Fault, FaultClass, RetryState};
use kafka::headers::RecordHeaders;
use kafka::record::Record;
use serde_json::Value;

use super::database::Database;
use super::records::{LATER, drain, fault, record};

const SECRET: &str = "a secret of the payload";

const VOCABULARY: Vocabulary = Vocabulary {
    service: "some-service",
    event_type,
    describe: |record| {
        format!(
            "an event\nof {} bytes",
            record.payload.as_ref().map_or(0, Vec::len)
        )
    },
};

fn event_type(headers: &RecordHeaders) -> Option<&str> {
    headers.text("ce_type")
}

async fn run(database: &Database, arguments: &str) -> (String, Result<(), OperatorError>) {
    let words = std::iter::once("dead-letters").chain(arguments.split(' '));
    let arguments = DeadLetters::try_parse_from(words).unwrap();
    let mut output = Vec::new();
    let operations = &*database.operations;
    let done = execute(&arguments.command, operations, VOCABULARY, &mut output).await;
    (String::from_utf8(output).unwrap(), done)
}

async fn output_of(database: &Database, arguments: &str) -> String {
    let (output, done) = run(database, arguments).await;
    done.unwrap();
    output
}

fn lines(output: &str) -> Vec<Vec<&str>> {
    let lines = output.lines();
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

fn rejected() -> Fault {
    Fault {
        class: FaultClass::Rejected,
        message: "no such order".to_owned(),
        ..fault()
    }
}

fn hostile() -> Record {
    Record {
        key: Some(b"\x1b[2Ja".to_vec()),
        headers: vec![
            (b"ce_type".to_vec(), Some(b"evil\x1b[2J".to_vec())),
            (
                b"traceparent".to_vec(),
                Some(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec()),
            ),
        ]
        .into(),
        payload: Some(SECRET.as_bytes().to_vec()),
        ..record("a", 9)
    }
}

async fn with_dead(offsets: impl IntoIterator<Item = i64>) -> Database {
    let database = Database::sqlite().await;
    for offset in offsets {
        let stored = record(&format!("key-{offset}"), offset);
        let (retry_store, fault) = (&database.retry_store, rejected());
        let done = retry_store.store(&stored, &fault, RetryState::Dead).await;
        done.unwrap();
    }
    database
}

#[tokio::test]
async fn a_list_is_aligned_and_shows_the_order_of_a_key() {
    let database = with_dead([1]).await;
    database
        .retry_store
        .store_behind(&record("key-1", 2))
        .await
        .unwrap();

    let output = output_of(&database, "list").await;

    let lines = lines(&output);
    assert_eq!(lines.len(), 3, "{output}");
    assert_eq!(
        lines[1][..8],
        [
            "1",
            "dead",
            "1",
            "behind",
            "it",
            "key-1",
            "com.example.something",
            "rejected"
        ]
    );
    assert_eq!(lines[2][..5], ["2", "waiting", "behind", "1", "key-1"]);
    assert!(output.contains("no such order"), "{output}");
}

#[tokio::test]
async fn an_empty_list_and_a_truncated_one_are_labelled() {
    let database = Database::sqlite().await;
    assert_eq!(
        output_of(&database, "list").await,
        "the retry store is empty\n"
    );
    assert_eq!(
        output_of(&database, "audit").await,
        "nothing was redriven or skipped\n"
    );

    let database = with_dead([1, 2, 3]).await;
    let output = output_of(&database, "list --limit 2").await;
    assert!(
        output.contains("2 are shown, there may be more"),
        "{output}"
    );
}

#[tokio::test]
async fn a_list_and_an_event_are_one_json_object_per_line() {
    let database = with_dead([1, 2]).await;

    let list = output_of(&database, "list --json --state dead").await;
    let show = output_of(&database, "show 2 --json").await;

    let list: Vec<Value> = list
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(list.len(), 2);
    assert_eq!(list[1]["key"], "key-2");
    assert_eq!(list[1]["class"], "rejected");
    let show: Value = serde_json::from_str(&show).unwrap();
    assert_eq!(show["event"], "an event\nof 9 bytes");
    assert_eq!(show["headers"][0][0], "ce_type");
}

#[tokio::test]
async fn an_event_is_shown_without_its_payload_and_without_control_characters() {
    let database = Database::sqlite().await;
    let (retry_store, dead) = (&database.retry_store, RetryState::Dead);
    retry_store.store(&hostile(), &fault(), dead).await.unwrap();

    for arguments in ["list", "list --json", "show 1", "show 1 --json"] {
        let output = output_of(&database, arguments).await;
        assert!(!output.contains('\x1b'), "{output:?}");
        assert!(!output.contains(SECRET), "{output}");
    }
    let output = output_of(&database, "show 1").await;
    for part in [
        "orders[3]@9",
        "0af7651916cd43dd8448eb211c80319c",
        "retries-spent",
        "of 23 bytes",
    ] {
        assert!(output.contains(part), "{part} in {output}");
    }
}

#[tokio::test]
async fn an_unknown_id_is_an_error() {
    let database = Database::sqlite().await;

    for arguments in [
        "show 7",
        "redrive 7",
        "redrive 7 --dry-run",
        "skip 7 --reason none",
    ] {
        let (_, done) = run(&database, arguments).await;

        assert!(
            matches!(
                done,
                Err(OperatorError::Refused(OperatorRefusal::Unknown { id: 7 }))
            ),
            "{arguments}: {done:?}"
        );
    }
}

#[tokio::test]
async fn a_dry_run_prints_the_redrives_and_changes_nothing() {
    let database = with_dead([1, 2]).await;

    let one = output_of(&database, "redrive 1 --dry-run").await;
    let all = output_of(&database, "redrive --all --dry-run").await;

    assert_eq!(one, "would redrive 1: com.example.something of key-1\n");
    assert!(all.ends_with("would redrive 2 of 2 dead\n"), "{all}");
    assert_eq!(drain(&*database.retry_store).await, [0; 0]);
    assert_eq!(database.operations.audit(10).await.unwrap(), []);
}

#[tokio::test]
async fn all_of_a_kind_are_redriven_and_nothing_else() {
    let database = with_dead([1, 2]).await;
    let retry_store = &*database.retry_store;
    let (other, dead) = (record("other", 3), RetryState::Dead);
    retry_store.store(&other, &fault(), dead).await.unwrap();
    retry_store
        .store(&record("later", 4), &rejected(), LATER)
        .await
        .unwrap();

    output_of(&database, "redrive --class rejected --per-second 1000").await;
    assert_eq!(drain(retry_store).await, [1, 2]);
    output_of(&database, "redrive --key other").await;
    assert_eq!(drain(retry_store).await, [3]);
}

#[tokio::test]
async fn more_events_than_a_page_are_redriven_once_each() {
    let database = with_dead(1..=230).await;

    let output = output_of(&database, "redrive --all --per-second 1000").await;

    assert!(output.ends_with("redriven 230 of 230 dead\n"), "{output}");
    assert_eq!(database.operations.audit(1_000).await.unwrap().len(), 230);
}

#[tokio::test]
async fn events_are_redriven_at_the_requested_rate() {
    let database = with_dead([1, 2, 3]).await;
    let began = Instant::now();

    output_of(&database, "redrive --all --per-second 20").await;

    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_refused_redrive_stops_no_other_and_is_an_error_at_the_end() {
    let database = with_dead([1, 2]).await;
    database
        .execute("UPDATE retry_events SET redrives = 5 WHERE record_offset = 1")
        .await;

    let (output, done) = run(&database, "redrive --all").await;

    assert!(matches!(
        done,
        Err(OperatorError::SomeRefused { refused: 1, all: 2 })
    ));
    assert!(
        output.contains("refused: event 1 was redriven 5 times"),
        "{output}"
    );
    assert_eq!(drain(&*database.retry_store).await, [2]);
    output_of(&database, "redrive --all --force").await;
    assert_eq!(drain(&*database.retry_store).await, [1]);
}

#[tokio::test]
async fn an_event_behind_another_is_refused_and_the_head_is_named() {
    let database = with_dead([1]).await;
    database
        .retry_store
        .store_behind(&record("key-1", 2))
        .await
        .unwrap();

    for arguments in ["redrive 2", "redrive 2 --dry-run", "skip 2 --reason none"] {
        let (_, done) = run(&database, arguments).await;

        assert_eq!(
            done.unwrap_err().to_string(),
            "event 2 waits behind 1, the head of its key: redrive or skip that one"
        );
    }
}

#[tokio::test]
async fn the_audit_lists_skips_and_redrives() {
    let database = with_dead([1, 2]).await;

    output_of(&database, "redrive 1 --actor ada").await;
    output_of(&database, "skip 2 --actor bob --reason duplicate").await;

    let output = output_of(&database, "audit").await;
    let lines = lines(&output);
    assert_eq!(lines[1][1..6], ["bob", "skip", "2", "key-2", "duplicate"]);
    assert_eq!(lines[2][1..5], ["ada", "redrive", "1", "key-1"]);
    let all = Filter::default();
    let states: Vec<State> = database
        .operations
        .list(&all, 10)
        .await
        .unwrap()
        .events
        .iter()
        .map(|event| event.state)
        .collect();
    assert_eq!(states, [State::Waiting, State::Skipped]);
}
