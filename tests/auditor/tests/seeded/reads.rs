//! Reads that contradict the history.

use auditor::journal::{JournalLine, ObservedRead, ReadKind};
use auditor::rules::READS;

use super::assert_found;
use super::books::Books;

/// The first watch in the journal, of the fulfilled order.
fn watch(books: &mut Books) -> &mut ObservedRead {
    reading(books, |kind| matches!(kind, ReadKind::Watch { .. }))
}

/// The GetOrder after it.
fn get(books: &mut Books) -> &mut ObservedRead {
    reading(books, |kind| matches!(kind, ReadKind::Get))
}

fn reading(books: &mut Books, is_it: fn(&ReadKind) -> bool) -> &mut ObservedRead {
    let mut readings = books.journal.iter_mut().filter_map(|line| match line {
        JournalLine::Read(reading) => Some(reading),
        _ => None,
    });
    readings.find(|reading| is_it(&reading.kind)).unwrap()
}

async fn is_found(seed: impl FnOnce(&mut Books), words: &str) {
    let mut books = Books::sound().await;
    seed(&mut books);

    assert_found(&books.audit().await, READS, words);
}

#[tokio::test]
async fn a_returned_version_that_differs_from_the_history_is_a_violation() {
    is_found(
        |books| watch(books).seen[2].event = Some("OrderRejected".into()),
        "was shown as OrderRejected PROCESSING at version 3 (line 3), but its history has PaymentCaptured PROCESSING there",
    )
    .await;
    is_found(
        |books| get(books).seen[0].status = "REJECTED".into(),
        "was shown as REJECTED at version 4",
    )
    .await;
}

#[tokio::test]
async fn an_outcome_that_changed_after_a_read_is_a_violation() {
    let books = Books::sound().await;
    books
        .change("UPDATE order_events SET rejection_reason = 'UNKNOWN_SKU' WHERE event_type = 'OrderRejected'")
        .await;

    assert_found(
        &books.audit().await,
        READS,
        "was shown as OrderRejected REJECTED PAYMENT_DECLINED at version 3",
    );
}

#[tokio::test]
async fn a_returned_version_that_does_not_exist_is_a_violation() {
    is_found(
        |books| get(books).seen[0].version = 5,
        "at version 5 (line 4), but its history has nothing there",
    )
    .await;
}

#[tokio::test]
async fn a_watch_with_a_gap_or_a_repetition_is_a_violation() {
    is_found(
        |books| drop(watch(books).seen.remove(1)),
        "was watched from version 1, and 3 versions up to 4 were shown",
    )
    .await;
    is_found(
        |books| {
            let again = watch(books).seen[1].clone();
            watch(books).seen.insert(1, again);
        },
        "was watched from version 1, and 5 versions up to 4 were shown",
    )
    .await;
}

#[tokio::test]
async fn a_watch_completed_before_the_final_version_is_a_violation() {
    is_found(
        |books| watch(books).seen.truncate(3),
        "was watched to its end at version 3, but it is at version 4",
    )
    .await;
}

#[tokio::test]
async fn a_broken_watch_is_not_a_violation() {
    let mut books = Books::sound().await;
    let broken = watch(&mut books);
    broken.seen.truncate(3);
    broken.kind = ReadKind::Watch {
        after: 0,
        to_the_end: false,
    };

    let verdict = books.audit().await;

    assert!(verdict.is_ok(), "{verdict}");
}

#[tokio::test]
async fn a_read_older_than_an_earlier_read_is_a_violation() {
    is_found(
        |books| {
            let seen = watch(books).seen[1].clone();
            get(books).seen = vec![seen];
        },
        "was read at version 2 (line 4), after version 4 had been shown (line 3)",
    )
    .await;
}

#[tokio::test]
async fn a_read_that_misses_a_confirmed_order_is_a_violation() {
    is_found(
        |books| get(books).seen.clear(),
        "was read as unknown (line 4), after version 4 had been shown (line 3)",
    )
    .await;
}

#[tokio::test]
async fn concurrent_reads_may_differ() {
    let mut books = Books::sound().await;
    let seen = watch(&mut books).seen[1].clone();
    let began = watch(&mut books).begun;
    let read = get(&mut books);
    read.seen = vec![seen];
    read.begun = began;

    let verdict = books.audit().await;

    assert!(verdict.is_ok(), "{verdict}");
}
