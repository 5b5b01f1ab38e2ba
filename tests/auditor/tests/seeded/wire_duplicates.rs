//! Events published twice.

use auditor::Limits;
use auditor::rules::WIRE_DUPLICATES;

use super::assert_found;
use super::books::{Books, OUTCOMES, event};

async fn with_a_duplicate(most: Option<u64>) -> auditor::verdict::Verdict {
    let mut books = Books::sound().await;
    books.publish(OUTCOMES, event('b', '1', "StockReserved", 1));
    let limits = Limits {
        wire_duplicates: most,
        ..Limits::default()
    };
    books.audit_within(limits).await
}

#[tokio::test]
async fn a_duplicate_event_is_counted_and_limited() {
    let unbounded = with_a_duplicate(None).await;
    let within = with_a_duplicate(Some(1)).await;
    let beyond = with_a_duplicate(Some(0)).await;

    assert!(unbounded.is_ok(), "{unbounded}");
    assert_eq!(
        unbounded.counted(WIRE_DUPLICATES, "published again"),
        Some(1)
    );
    assert!(within.is_ok(), "{within}");
    assert_found(
        &beyond,
        WIRE_DUPLICATES,
        "1 records were published again, at most 0 allowed",
    );
    assert_found(
        &beyond,
        WIRE_DUPLICATES,
        "has StockReserved 2 times on the topic [processing.order.events.v1/0@0]",
    );
}
