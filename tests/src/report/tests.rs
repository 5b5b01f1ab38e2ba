//! The content of a report, and when a run passes.

use super::*;
use crate::replay::summary::{Counts, Problems};
use auditor::verdict::{RuleReport, RuleViolation};

fn report() -> ReplayReport {
    ReplayReport {
        summary: Summary {
            counts: Counts {
                submitted: 10,
                accepted: 7,
                refused: BTreeMap::from([
                    ("server: INVALID_REQUEST lines[].quantity".to_owned(), 2),
                    ("server: INVALID_REQUEST lines[].unit_price".to_owned(), 1),
                ]),
                fulfilled: 4,
                rejected: BTreeMap::from([
                    ("OUT_OF_STOCK".to_owned(), 1),
                    ("UNKNOWN_SKU".to_owned(), 1),
                ]),
                cancelled: 1,
                ..Counts::default()
            },
            confirm: Latency {
                p50_ms: 1.25,
                p99_ms: 9.5,
            },
            outcome: Latency {
                p50_ms: 31.0,
                p99_ms: 2_100.0,
            },
            confirmations_per_second: 812.34,
            orders_per_second: 640.0,
            example: None,
            problems: Problems::default(),
        },
        restarts: BTreeMap::from([("order-service".to_owned(), 1)]),
        audit: Verdict::default(),
    }
}

#[test]
fn a_run_without_violations_passes() {
    assert_eq!(report().failures(), Vec::<String>::new());
    assert!(report().to_string().contains("PASSED"));
}

#[test]
fn an_unanswered_order_fails_the_run() {
    let mut report = report();
    report.summary.counts.submitted = 11;
    report.summary.counts.unanswered = 1;

    assert_eq!(report.failures(), ["1 of 11 orders got no answer"]);
}

#[test]
fn an_accepted_order_that_is_not_final_fails_the_run_and_is_named() {
    let mut report = report();
    report.summary.counts.fulfilled = 3;
    let problems = &mut report.summary.problems;
    problems.add("order 0197 (invoice 536365): it was not final in time".into());

    let text = report.to_string();

    assert!(!report.passed());
    assert!(text.contains("1 of 7 accepted orders were not seen to become final"));
    assert!(text.contains("order 0197 (invoice 536365)"));
}

#[test]
fn a_red_audit_fails_the_run() {
    let mut report = report();
    report.audit.rules = vec![RuleReport {
        rule: "effect-once",
        counted: Vec::new(),
        violations: vec![RuleViolation {
            fault: "SKU 85123A: 3 pieces are missing".into(),
            ..RuleViolation::default()
        }],
        more: 0,
    }];

    assert_eq!(report.failures(), ["the audit is red"]);
    assert!(report.to_string().contains("SKU 85123A: 3 pieces"));
}

#[test]
fn the_json_has_the_documented_figures() {
    let json = report().to_json();

    let expected = json!({
        "submitted": 10,
        "accepted": 7,
        "refused": {
            "server: INVALID_REQUEST lines[].quantity": 2,
            "server: INVALID_REQUEST lines[].unit_price": 1,
        },
        "unanswered": 0,
        "fulfilled": 4,
        "rejected": { "OUT_OF_STOCK": 1, "UNKNOWN_SKU": 1 },
        "cancelled": 1,
        "confirm_ms": { "p50": 1.25, "p99": 9.5 },
        "outcome_ms": { "p50": 31.0, "p99": 2_100.0 },
        "confirmations_per_second": 812.3,
        "orders_per_second": 640.0,
        "restarts": { "order-service": 1 },
        "problems": [],
        "audit": { "ok": true, "violations": [] },
    });
    assert_eq!(json, expected);
}

#[test]
fn the_figures_are_aligned_in_columns() {
    let text = report().to_string();

    let first: Vec<_> = text.lines().take(6).collect();
    assert_eq!(
        first,
        [
            "submitted                                                          10",
            "accepted                                                            7",
            "  fulfilled                                                         4",
            "  rejected                                                          2",
            "    OUT_OF_STOCK                                                    1",
            "    UNKNOWN_SKU                                                     1",
        ]
    );
    assert!(
        text.contains("  to confirmation       1.2 ms      9.5 ms"),
        "{text}"
    );
    assert!(text.contains("812 confirmations/s, 640 orders/s to their final state"));
    assert!(text.contains("order-service: 1 restarts"));
}
