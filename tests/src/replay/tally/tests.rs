//! Counts, and the reasons under which refusals are counted.

use std::collections::BTreeMap;

use proto::orders::v1::{OrderHistoryEntry, OrderStatus, RejectionReason};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::orders::request::OrderViolation;

fn history(status: OrderStatus, reason: RejectionReason) -> History {
    History {
        order_id: format!("{status:?}"),
        invoice: "536365".into(),
        lines: 1,
        entries: vec![OrderHistoryEntry {
            status: status.into(),
            rejection_reason: reason.into(),
            ..OrderHistoryEntry::default()
        }],
    }
}

#[test]
fn a_refusal_is_counted_by_side_reason_and_fields_without_positions() {
    let tally = Tally::new().unwrap();
    let violation = |line: usize| OrderViolation {
        field: format!("lines[{line}].quantity"),
        reason: "QUANTITY_OUT_OF_RANGE",
        description: "2147483648 is no 32-bit number".into(),
    };
    let mut details = ErrorDetails::with_error_info("INVALID_REQUEST", "order-service", []);
    details.add_bad_request_violation("lines[10].unit_price.minor_units", "must be positive");
    details.add_bad_request_violation("lines[2].unit_price.minor_units", "must be positive");
    let status = Status::with_error_details(Code::InvalidArgument, "2 invalid fields", details);

    tally.refused_by_client(&Inexpressible {
        violations: vec![violation(0), violation(12)],
    });
    tally.refused_by_server(&status.into());

    let refused = tally.counts().refused;
    assert_eq!(
        refused.keys().collect::<Vec<_>>(),
        [
            "client: QUANTITY_OUT_OF_RANGE lines[].quantity",
            "server: INVALID_REQUEST lines[].unit_price.minor_units",
        ]
    );
}

#[test]
fn outcomes_are_counted_by_kind() {
    let (tally, sent) = (Tally::new().unwrap(), Instant::now());
    let none = RejectionReason::Unspecified;

    for (status, reason) in [
        (OrderStatus::Fulfilled, none),
        (OrderStatus::Fulfilled, none),
        (OrderStatus::Cancelled, none),
        (OrderStatus::Rejected, RejectionReason::OutOfStock),
    ] {
        tally.ended(
            sent,
            sent + Duration::from_millis(5),
            history(status, reason),
        );
    }

    let counts = tally.counts();
    assert_eq!((counts.fulfilled, counts.cancelled), (2, 1));
    assert_eq!(
        counts.rejected,
        BTreeMap::from([("OUT_OF_STOCK".to_owned(), 1)])
    );
    assert_eq!(counts.ended(), 4);
}

#[test]
fn the_example_is_a_fulfilled_order_when_there_is_one() {
    let (tally, sent) = (Tally::new().unwrap(), Instant::now());
    let none = RejectionReason::Unspecified;

    tally.ended(sent, sent, history(OrderStatus::Cancelled, none));
    assert_eq!(tally.summary().example.unwrap().order_id, "Cancelled");
    tally.ended(sent, sent, history(OrderStatus::Fulfilled, none));
    tally.ended(sent, sent, history(OrderStatus::Cancelled, none));

    assert_eq!(tally.summary().example.unwrap().order_id, "Fulfilled");
}

#[tokio::test(start_paused = true)]
async fn rates_count_from_the_first_send() {
    let (tally, sent) = (Tally::new().unwrap(), Instant::now());
    tally.submitted(sent);
    tokio::time::sleep(Duration::from_millis(500)).await;

    tally.accepted(Duration::from_millis(500));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let fulfilled = history(OrderStatus::Fulfilled, RejectionReason::Unspecified);
    tally.ended(sent, sent + Duration::from_secs(1), fulfilled);

    let summary = tally.summary();
    assert!((summary.confirmations_per_second - 2.0).abs() < 0.1);
    assert!((summary.orders_per_second - 1.0).abs() < 0.1);
    assert!((summary.confirm.p50_ms - 500.0).abs() < 1.0);
    assert!((summary.outcome.p99_ms - 1000.0).abs() < 1.0);
}

#[test]
fn a_cancellation_that_came_too_late_is_not_a_problem() {
    let tally = Tally::new().unwrap();
    let details = ErrorDetails::with_error_info("ORDER_IS_FINAL", "order-service", []);
    let too_late = Status::with_error_details(Code::FailedPrecondition, "too late", details);

    tally.cancel_answered("a", &Err(too_late.into()));
    assert_eq!(tally.summary().problems.count, 0);
    tally.cancel_answered("b", &Err(Status::not_found("no such order").into()));

    let problems = tally.summary().problems;
    assert_eq!(problems.count, 1);
    assert!(problems.named[0].contains("order b could not be cancelled"));
}

#[test]
fn the_newest_final_order_is_the_one_that_was_sent_last() {
    let (tally, sent) = (Tally::new().unwrap(), Instant::now());
    let later = sent + Duration::from_secs(1);
    let none = RejectionReason::Unspecified;
    assert_eq!(tally.newest_final(), None);

    for sent in [later, sent] {
        tally.ended(sent, sent, history(OrderStatus::Fulfilled, none));
    }

    assert_eq!(tally.newest_final(), Some(later));
}
