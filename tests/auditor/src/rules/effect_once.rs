//! Exactly-once effects: every event took effect once, however often it was delivered.
//!
//! Effects are rows of histories, inboxes, sagas, payments and shipments. Balances of money and stock are in
//! [`super::ledger`].

use anyhow::Result;

use super::ledger;
use super::rule::{Count, Rule, RuleCheck};
use crate::evidence::Evidence;
use crate::verdict::RuleReport;

pub const NAME: &str = "effect-once";

pub(super) async fn report(evidence: &mut Evidence) -> Result<RuleReport> {
    let mut report = RULE.report(evidence).await?;
    for check in ledger::CHECKS {
        report.add(check.findings(evidence).await?);
    }
    Ok(report)
}

const RULE: Rule = Rule {
    name: NAME,
    counts: &[
        Count {
            name: "history entries",
            number: "SELECT count(*) FROM order_events",
        },
        Count {
            name: "sagas",
            number: "SELECT count(*) FROM processing.sagas",
        },
        Count {
            name: "payments",
            number: "SELECT count(*) FROM processing.payments",
        },
        Count {
            name: "shipments",
            number: "SELECT count(*) FROM processing.shipments",
        },
        Count {
            name: "SKUs",
            number: "SELECT count(*) FROM processing.stock",
        },
    ],
    checks: &[
        RuleCheck {
            name: "an event is applied once",
            violations: "
                SELECT min(order_id) AS order_id, 'has the event ' || min(event_type) || ' '
                    || lower(hex(event_id)) || ' ' || count(*) || ' times in its history' AS fault,
                    (SELECT place FROM events WHERE events.event_id = order_events.event_id) AS place
                FROM order_events GROUP BY event_id HAVING count(*) > 1",
        },
        RuleCheck {
            name: "no event type occurs twice in a history",
            violations: "
                SELECT order_id, 'has ' || event_type || ' ' || count(*) || ' times in its history, as different events' AS fault
                FROM order_events GROUP BY order_id, event_type
                HAVING count(DISTINCT event_id) > 1",
        },
        RuleCheck {
            name: "an outcome is published once",
            violations: "
                SELECT order_id, max(place) AS place, 'was published as ' || event_type || ' in ' || count(*) || ' different events' AS fault
                FROM events GROUP BY topic, order_id, event_type HAVING count(*) > 1",
        },
        RuleCheck {
            name: "a final order has one final event, any other none",
            violations: "
                SELECT orders.order_id,
                    'is ' || orders.status || ' and has ' || count(version_of_final) || ' final events' AS fault
                FROM orders LEFT JOIN (
                    SELECT order_id, version AS version_of_final FROM order_events
                    WHERE event_type IN ('OrderFulfilled', 'OrderRejected', 'OrderCancelled')) USING (order_id)
                GROUP BY orders.order_id
                HAVING count(version_of_final) <> (orders.status IN ('FULFILLED', 'REJECTED', 'CANCELLED'))",
        },
        RuleCheck {
            name: "versions run from 1 without gaps",
            violations: "
                SELECT order_id, 'has ' || count(*) || ' events with versions from '
                    || min(version) || ' to ' || max(version) AS fault
                FROM order_events GROUP BY order_id
                HAVING min(version) <> 1 OR max(version) <> count(*)",
        },
        RuleCheck {
            name: "a history begins with the placement",
            violations: "
                SELECT order_id, 'has a history that begins with ' || event_type AS fault
                FROM order_events WHERE version = 1 AND event_type <> 'OrderPlaced'",
        },
        RuleCheck {
            name: "an order equals the last entry of its history",
            violations: "
                SELECT orders.order_id, 'is ' || orders.status || ' at version ' || orders.version
                    || ', but its history ends with ' || coalesce(last.status, 'nothing')
                    || ' at version ' || coalesce(last.version, 0) AS fault
                FROM orders LEFT JOIN order_events AS last
                  ON last.order_id = orders.order_id
                 AND last.version = (SELECT max(version) FROM order_events WHERE order_id = orders.order_id)
                WHERE last.version IS NOT orders.version
                   OR last.status IS NOT orders.status
                   OR last.rejection_reason IS NOT orders.rejection_reason",
        },
        RuleCheck {
            name: "a history entry equals its published event",
            violations: "
                SELECT entries.order_id, place, 'has ' || entries.event_type || ' in its history, but the event is '
                    || events.event_type AS fault
                FROM entries JOIN events USING (event_id)
                WHERE entries.event_type <> events.event_type OR entries.order_id <> events.order_id",
        },
        RuleCheck {
            name: "an applied outcome has an inbox row",
            violations: "
                SELECT entries.order_id, entries.event_type || ' was applied without a row in the inbox of order-service' AS fault
                FROM entries
                WHERE topic = 'processing.order.events.v1' AND event_id NOT IN (SELECT event_id FROM main.inbox)",
        },
        RuleCheck {
            name: "an inbox row of order-service belongs to an applied event",
            violations: "
                SELECT entity_id AS order_id, 'has an event in the inbox of order-service that is not in its history' AS fault
                FROM main.inbox WHERE event_id NOT IN (SELECT event_id FROM entries)",
        },
        RuleCheck {
            name: "an ended saga has an inbox row",
            violations: "
                SELECT order_id, 'has a saga that ended as ' || state || ' without a row in the inbox of processing-service' AS fault
                FROM processing.sagas WHERE state IN ('FULFILLED', 'REJECTED', 'CANCELLED')
                  AND order_id NOT IN (SELECT entity_id FROM processing.inbox)",
        },
        RuleCheck {
            name: "an inbox row of processing-service belongs to an ended saga",
            violations: "
                SELECT entity_id AS order_id, 'has an event in the inbox of processing-service and no saga that has ended' AS fault
                FROM processing.inbox WHERE entity_id NOT IN (
                    SELECT order_id FROM processing.sagas WHERE state IN ('FULFILLED', 'REJECTED', 'CANCELLED'))",
        },
        RuleCheck {
            name: "a saga and its order have the same final state",
            violations: "
                SELECT orders.order_id, 'is ' || orders.status || coalesce(' ' || orders.rejection_reason, '')
                    || ', but processing has it as '
                    || coalesce(sagas.state || coalesce(' ' || sagas.reason, ''), 'unknown') AS fault
                FROM orders LEFT JOIN processing.sagas USING (order_id)
                WHERE orders.status IN ('FULFILLED', 'REJECTED', 'CANCELLED')
                  AND (sagas.state IS NOT orders.status OR sagas.reason IS NOT orders.rejection_reason)",
        },
        RuleCheck {
            name: "a fulfilled order is paid",
            violations: "
                SELECT orders.order_id, 'is FULFILLED, but its payment is '
                    || coalesce(payments.state, 'missing') AS fault
                FROM orders LEFT JOIN processing.payments USING (order_id)
                WHERE orders.status = 'FULFILLED' AND payments.state IS NOT 'CAPTURED'",
        },
        RuleCheck {
            name: "only a fulfilled order is paid",
            violations: "
                SELECT order_id, 'is ' || coalesce(sagas.state, 'unknown')
                    || ', but its payment is captured and not refunded' AS fault
                FROM processing.payments LEFT JOIN processing.sagas USING (order_id)
                WHERE payments.state = 'CAPTURED'
                  AND coalesce(sagas.state, '') NOT IN ('CAPTURED', 'COMPENSATING', 'FULFILLED')",
        },
        RuleCheck {
            name: "a fulfilled order is shipped",
            violations: "
                SELECT order_id, 'is FULFILLED, but was not shipped' AS fault
                FROM orders WHERE status = 'FULFILLED'
                  AND order_id NOT IN (SELECT order_id FROM processing.shipments)",
        },
        RuleCheck {
            name: "only a fulfilled order is shipped",
            violations: "
                SELECT order_id, 'is ' || coalesce(sagas.state, 'unknown') || ', but was shipped' AS fault
                FROM processing.shipments LEFT JOIN processing.sagas USING (order_id)
                WHERE sagas.state IS NOT 'FULFILLED'",
        },
    ],
};
