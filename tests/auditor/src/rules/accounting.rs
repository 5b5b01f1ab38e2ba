//! Accounting: every order is final or in a retry store, every event is published, and every rejected record has a dead
//! letter.

use anyhow::Result;

use super::rule::{Count, Rule, RuleCheck};
use crate::Limits;
use crate::evidence::Evidence;
use crate::verdict::{Findings, RuleReport, RuleViolation};

pub const NAME: &str = "accounting";

const RETRY_STORE_ORDERS: &str = "SELECT count(*) FROM outstanding WHERE is_in_retry_store";

pub(super) async fn report(evidence: &mut Evidence, limits: &Limits) -> Result<RuleReport> {
    let mut report = RULE.report(evidence).await?;
    let stored = evidence.number(RETRY_STORE_ORDERS).await?;
    let most = limits.set_aside.unwrap_or(u64::MAX);
    if stored > most {
        let mut findings = Findings::default();
        findings.add(RuleViolation {
            fault: format!("{stored} orders have events in a retry store, at most {most} allowed"),
            ..RuleViolation::default()
        });
        report.add(findings);
        report.add(ASIDE.findings(evidence).await?);
    }
    Ok(report)
}

const ASIDE: RuleCheck = RuleCheck {
    name: "an order has no event in a retry store",
    violations: "
        SELECT order_id, place, 'is not final: ' || last_place AS fault
        FROM outstanding WHERE is_in_retry_store",
};

const RULE: Rule = Rule {
    name: NAME,
    counts: &[
        Count {
            name: "fulfilled",
            number: "SELECT count(*) FROM orders WHERE status = 'FULFILLED'",
        },
        Count {
            name: "rejected",
            number: "SELECT count(*) FROM orders WHERE status = 'REJECTED'",
        },
        Count {
            name: "cancelled",
            number: "SELECT count(*) FROM orders WHERE status = 'CANCELLED'",
        },
        Count {
            name: "orders with events in a retry store",
            number: RETRY_STORE_ORDERS,
        },
        Count {
            name: "in the retry store",
            number: "SELECT count(*) FROM temp.retry_events",
        },
        Count {
            name: "dead letters",
            number: "SELECT count(*) FROM records
                     WHERE topic IN ('orders.order.events.v1.dlq', 'processing.order.events.v1.dlq')",
        },
    ],
    checks: &[
        RuleCheck {
            name: "an unconfirmed order reaches a final state too",
            violations: "
                SELECT order_id, place, 'is ' || status || ' and was not confirmed, and is not final: ' || last_place AS fault
                FROM outstanding JOIN orders USING (order_id)
                WHERE NOT is_in_retry_store AND order_id NOT IN (SELECT order_id FROM confirmed)",
        },
        RuleCheck {
            name: "every committed event is published",
            violations: "
                SELECT order_id, service || ': ' || count(*) || ' events were never published' AS fault
                FROM waiting GROUP BY service, order_id",
        },
        RuleCheck {
            name: "no event in a retry store waits for a retry",
            violations: "
                SELECT order_id, place, 'has an event in the retry store of ' || service || ' as WAITING'
                    || coalesce(' (' || fault_class || ': ' || fault_message || ')', '') AS fault
                FROM temp.retry_events WHERE state = 'WAITING' AND NOT EXISTS (
                    SELECT 1 FROM temp.retry_events AS head WHERE head.service = retry_events.service AND head.key = retry_events.key
                      AND head.topic = retry_events.topic AND head.state = 'DEAD')",
        },
        RuleCheck {
            name: "every DEAD event has a dead letter",
            violations: "
                SELECT order_id, place, 'is DEAD in the retry store of ' || service || ', but has no dead letter' AS fault
                FROM temp.retry_events WHERE state = 'DEAD' AND fault_class <> 'unpublished' AND NOT EXISTS (
                    SELECT 1 FROM records AS letter WHERE letter.origin_topic = retry_events.topic
                      AND letter.origin_partition = retry_events.partition AND letter.origin_position = retry_events.position)",
        },
        RuleCheck {
            name: "a dead letter equals its original record",
            violations: "
                SELECT letter.order_id, letter.place, 'has a dead letter ' || CASE WHEN record.place IS NULL
                    THEN 'of no record: ' || coalesce(letter.origin_topic || '/' || letter.origin_partition || '@'
                        || letter.origin_position, 'it has no origin headers')
                    ELSE 'with another key or value than its record at ' || record.place END AS fault
                FROM records AS letter LEFT JOIN records AS record
                  ON record.topic = letter.origin_topic AND record.partition = letter.origin_partition
                 AND record.position = letter.origin_position
                WHERE letter.topic IN ('orders.order.events.v1.dlq', 'processing.order.events.v1.dlq')
                  AND (record.place IS NULL OR record.key IS NOT letter.key OR record.payload IS NOT letter.payload)",
        },
    ],
};
