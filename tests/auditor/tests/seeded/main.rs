//! Tests of the auditor: sound books have no violation, and each seeded violation is found by its rule.
//!
//! The databases are created by the real migrations, so that a change of schema is noticed here. Five seeds are
//! the classical ones (a lost event, a doubled effect, two events swapped, a confirmation of what was never stored, an
//! offset committed too far); every check of every rule has at least one more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test may fail by panicking"
)]

mod accounting;
mod books;
mod effect_once;
mod evidence;
mod ledger;
mod no_loss;
mod no_phantom;
mod offsets;
mod order_per_key;
mod program;
mod reads;
mod wire_duplicates;

use auditor::verdict::Verdict;
use books::Books;

/// Asserts that a rule reports a violation with these words.
fn assert_found(verdict: &Verdict, rule: &str, words: &str) {
    let found = verdict.violations_of(rule);
    let is_found = found.iter().any(|violation| violation.contains(words));
    assert!(is_found, "{words:?} is not said by {rule} in\n{verdict}");
}

/// Sound books after one change in the databases.
async fn after(change: &'static str) -> Verdict {
    let books = Books::sound().await;
    books.change(change).await;
    books.audit().await
}

#[tokio::test]
async fn sound_books_are_green_and_everything_in_them_is_counted() {
    let verdict = Books::sound().await.audit().await;

    assert_eq!(verdict.violations(), Vec::<String>::new());
    assert_eq!((verdict.orders, verdict.unknown), (3, 0));
    for (rule, what, count) in [
        (auditor::rules::NO_LOSS, "orders confirmed", 3),
        (auditor::rules::NO_PHANTOM, "events on the wire", 12),
        (auditor::rules::EFFECT_ONCE, "history entries", 12),
        (auditor::rules::WIRE_DUPLICATES, "records of events", 12),
        (auditor::rules::ORDER_PER_KEY, "keys", 3),
        (auditor::rules::READS, "versions shown", 19),
        (auditor::rules::OFFSETS, "records below", 12),
        (auditor::rules::ACCOUNTING, "cancelled", 1),
        (auditor::rules::EVIDENCE, "calls to place", 3),
    ] {
        assert_eq!(
            verdict.counted(rule, what),
            Some(count),
            "{rule}: {what}\n{verdict}"
        );
    }
}

#[tokio::test]
async fn sound_books_are_green_by_the_strictest_limits() {
    let books = Books::sound().await;

    let verdict = books
        .audit_within(auditor::Limits {
            wire_duplicates: Some(0),
            set_aside: Some(0),
            stopped_cleanly: true,
            has_strangers: false,
        })
        .await;

    assert!(verdict.is_ok(), "{verdict}");
}

#[tokio::test]
async fn without_a_journal_every_order_counts_as_confirmed() {
    let books = Books::sound().await;
    books
        .change("UPDATE orders SET status = 'PROCESSING' WHERE status = 'FULFILLED'")
        .await;

    let verdict = books.audit_without_journal().await;

    assert_eq!(verdict.unknown, 0);
    assert_found(
        &verdict,
        "no-loss",
        "was confirmed and is lost at PROCESSING",
    );
}

#[tokio::test]
async fn very_many_violations_are_summed_up() {
    let verdict = after(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)
         INSERT INTO processing.payments SELECT randomblob(16), 'capture', 'REFUNDED', 'GBP', i, 0 FROM n;
         UPDATE processing.payments SET state = 'CAPTURED' WHERE order_id NOT IN (SELECT order_id FROM orders)",
    )
    .await;

    assert_found(&verdict, "effect-once", "… and 15 more like these");
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let books = Books::sound().await;
    std::fs::remove_file(books.processing_file()).unwrap();

    let error = books.try_audit().await.unwrap_err();

    assert!(
        format!("{error:#}").contains("processing-service.db"),
        "{error:#}"
    );
}
