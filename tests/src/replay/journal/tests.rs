//! The content of the journal, and when it is written.

use std::path::PathBuf;

use proto::orders::v1::OrderStatus;

use super::*;

fn journal() -> (tempfile::TempDir, PathBuf, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let journal = Journal::create(&path).unwrap();
    (folder, path, journal)
}

fn lines(path: &Path) -> Vec<JournalLine> {
    let mut journal = auditor::journal::open(path).unwrap();
    std::iter::from_fn(|| journal.next_line().unwrap())
        .map(|(_, line)| line)
        .collect()
}

fn order() -> Order {
    Order {
        order_id: "0197".into(),
        version: 1,
        status: OrderStatus::Accepted.into(),
        ..Order::default()
    }
}

#[test]
fn a_call_is_in_the_file_before_it_is_made() {
    let (_folder, path, journal) = journal();
    let request = PlaceOrderRequest {
        request_id: "r".into(),
        customer_id: "guest".into(),
        lines: vec![proto::orders::v1::OrderLine {
            sku: "85123A".into(),
            quantity: 3,
            unit_price: Some(proto::orders::v1::Money {
                currency_code: "GBP".into(),
                minor_units: 255,
            }),
        }],
        payment_token: "tok_secret".into(),
    };

    let call = journal.place(&request, Some("536365")).unwrap();

    let [JournalLine::Invoked(invoked)] = &lines(&path)[..] else {
        panic!("one line");
    };
    let Asked::Place(intent) = &invoked.what else {
        panic!("a placement");
    };
    assert_eq!((intent.total, &*intent.currency), (765, "GBP"));
    assert_eq!(intent.lines, [("85123A".to_owned(), 3, 255)]);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("tok_"));
    drop(call);
}

#[test]
fn a_call_ends_ok_refused_or_unknown() {
    let (_folder, path, journal) = journal();
    let cases = [
        (Ok(order()), "ok"),
        (Err(Status::invalid_argument("no")), "refused"),
        (Err(Status::already_exists("no")), "refused"),
        (Err(Status::failed_precondition("no")), "refused"),
        (Err(Status::unavailable("?")), "unknown"),
        (Err(Status::deadline_exceeded("?")), "unknown"),
        (Err(Status::cancelled("?")), "unknown"),
        (Err(Status::resource_exhausted("?")), "unknown"),
        (Err(Status::internal("?")), "unknown"),
    ];

    for (answer, _) in &cases {
        let call = journal.cancel("0197").unwrap();
        call.end(answer.as_ref());
    }

    let ends: Vec<_> = lines(&path)
        .into_iter()
        .filter_map(|line| match line {
            JournalLine::Ok(_) => Some("ok"),
            JournalLine::Refused(_) => Some("refused"),
            JournalLine::Unknown(_) => Some("unknown"),
            _ => None,
        })
        .collect();
    assert_eq!(ends, cases.map(|(_, end)| end));
}

#[test]
fn a_dropped_call_ends_unknown() {
    let (_folder, path, journal) = journal();

    drop(journal.cancel("0197").unwrap());

    assert!(matches!(
        &lines(&path)[..],
        [JournalLine::Invoked(_), JournalLine::Unknown(_)]
    ));
}

#[test]
fn a_read_is_written_with_its_begin_end_and_result() {
    let (_folder, path, journal) = journal();

    journal.read("0197").got(Some(&order()));
    journal.read("0198").got(None);

    let read: Vec<_> = lines(&path)
        .into_iter()
        .map(|line| match line {
            JournalLine::Read(read) => (read.begun <= read.ended, read.seen.len()),
            line => panic!("{line:?}"),
        })
        .collect();
    assert_eq!(read, [(true, 1), (true, 0)]);
}

#[test]
fn a_synced_journal_has_the_same_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");

    let journal = Journal::synced(&path).unwrap();
    drop(journal.cancel("0197").unwrap());

    assert_eq!(lines(&path).len(), 2);
}
