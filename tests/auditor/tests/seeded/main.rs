//! Tests of the auditor: valid evidence has no violation, and each seeded violation is reported by its rule.
//!
//! The databases are created by the real migrations, so that a schema change is noticed here. Five seeds are the
//! classic ones (a lost event, a duplicated effect, two swapped events, a confirmation of an order that was never
//! stored, an offset committed too far); every check of every rule has at least one more.

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

/// The verdict after one change in the databases.
async fn after(change: &'static str) -> Verdict {
    let books = Books::sound().await;
    books.change(change).await;
    books.audit().await
}

#[tokio::test]
async fn valid_evidence_is_green_and_all_of_it_is_counted() {
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
async fn valid_evidence_is_green_with_the_strictest_limits() {
    let books = Books::sound().await;

    let verdict = books
        .audit_within(auditor::Limits {
            wire_duplicates: Some(0),
            set_aside: Some(0),
            stopped_cleanly: true,
            has_other_clients: false,
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
async fn many_violations_are_counted() {
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
