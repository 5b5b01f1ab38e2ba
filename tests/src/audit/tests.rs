//! Each rule is shown to fire: a sound pair of databases, one seeded fault, and the sentence that names it.
//!
//! The tables are those of the services' own migrations, so that a change of schema is noticed here.

mod books;
mod effects;
mod histories;

use books::Books;

const SOUND: &str = "the audit of sound books";

/// The sentences of an audit after one change of the books.
async fn audit_after(change: &'static str) -> Vec<String> {
    let books = Books::sound().await;
    books.change(change).await;
    books.audit().await.violations
}

/// Asserts that a change is found, in a sentence with these words.
async fn assert_found(change: &'static str, sentence: &str) {
    let violations = audit_after(change).await;

    let found = violations
        .iter()
        .any(|violation| violation.contains(sentence));
    assert!(found, "{sentence:?} is not among {violations:#?}");
}

#[tokio::test]
async fn sound_books_are_green() {
    let verdict = Books::sound().await.audit().await;

    assert_eq!(verdict.violations, Vec::<String>::new(), "{SOUND}");
    assert_eq!((verdict.orders, verdict.unknown), (3, 0));
}

#[tokio::test]
async fn without_a_journal_every_order_counts_as_confirmed() {
    let books = Books::sound().await;
    books.change("UPDATE orders SET status = 'PROCESSING' WHERE order_id = x'11111111111111111111111111111111'").await;

    let verdict = books.audit_without_journal().await;

    assert_eq!(verdict.unknown, 0);
    assert!(verdict.violations[0].contains("was confirmed but is still PROCESSING"));
}

#[tokio::test]
async fn an_order_that_the_client_never_heard_of_is_counted_and_no_violation() {
    let books = Books::sound().await;
    books.change(
        "INSERT INTO orders SELECT x'44444444444444444444444444444444', customer_id, randomblob(16), fingerprint,
                'PROCESSING', 2, 1, body, NULL, created_at, updated_at
         FROM orders WHERE status = 'FULFILLED';
         INSERT INTO order_events VALUES
           (x'44444444444444444444444444444444', 1, randomblob(16), 'OrderPlaced', 'ACCEPTED', NULL, 0),
           (x'44444444444444444444444444444444', 2, randomblob(16), 'StockReserved', 'PROCESSING', NULL, 0);
         INSERT INTO processing.sagas SELECT x'44444444444444444444444444444444', 'RESERVED', NULL, 2, lines, 0
         FROM processing.sagas WHERE state = 'FULFILLED';
         UPDATE processing.stock SET available = available - 3, reserved = 3",
    )
    .await;

    let verdict = books.audit().await;

    assert_eq!(verdict.violations, Vec::<String>::new());
    assert_eq!((verdict.orders, verdict.unknown), (4, 1));
}

#[tokio::test]
async fn very_many_violations_are_summed_up() {
    let violations = audit_after(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)
         INSERT INTO order_events SELECT randomblob(16), 1, randomblob(16), 'OrderPlaced', 'ACCEPTED', NULL, 0 FROM n",
    )
    .await;

    assert_eq!(violations.len(), super::SPELLED_OUT + 1);
    assert_eq!(violations[super::SPELLED_OUT], "… and 15 more like these");
}

#[tokio::test]
async fn settling_waits_for_what_is_under_way() {
    let books = Books::sound().await;
    assert!(books.settled().await);

    books
        .change("UPDATE processing.sagas SET state = 'RESERVED' WHERE state = 'CANCELLED'")
        .await;

    assert!(!books.settled().await);
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let books = Books::sound().await;
    std::fs::remove_file(&books.processing).unwrap();

    let error = books.try_audit().await.unwrap_err();

    assert!(
        format!("{error:#}").contains("processing-service.db"),
        "{error:#}"
    );
}
