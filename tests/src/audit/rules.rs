//! Rules between rows: each is one query that finds the orders which break it.

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Row};

use super::Findings;
use super::evidence::{Evidence, uuid};

/// One rule. Its query yields `order_id` and `fault`, the rest of a sentence that begins with the order.
#[derive(Debug)]
pub struct Rule {
    /// What must hold.
    pub name: &'static str,
    /// Finds the orders for which it does not.
    pub violations: &'static str,
}

/// The rules, from the confirmation to the last effect.
pub const RULES: [Rule; 16] = [
    Rule {
        name: "a confirmed order exists",
        violations: "
            SELECT order_id, 'was confirmed but is not in the database of order-service' AS fault
            FROM confirmed WHERE order_id NOT IN (SELECT order_id FROM orders)",
    },
    Rule {
        name: "an order is confirmed to one request",
        violations: "
            SELECT order_id, 'was confirmed for ' || count(DISTINCT request_id) || ' requests' AS fault
            FROM confirmed GROUP BY order_id HAVING count(DISTINCT request_id) > 1",
    },
    Rule {
        name: "a confirmed order is the one that was asked for",
        violations: "
            SELECT order_id, 'belongs to another request than it was confirmed for' AS fault
            FROM confirmed JOIN orders USING (order_id)
            WHERE orders.request_id <> confirmed.request_id
               OR orders.customer_id <> confirmed.customer_id",
    },
    Rule {
        name: "a confirmed order is final",
        violations: "
            SELECT order_id, 'was confirmed but is still ' || status AS fault
            FROM confirmed JOIN orders USING (order_id)
            WHERE status NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED')",
    },
    Rule {
        name: "an outcome that was shown stands",
        violations: "
            SELECT order_id, 'was shown as ' || shown.status || coalesce(' ' || shown.rejection_reason, '')
                || ' but is ' || orders.status || coalesce(' ' || orders.rejection_reason, '') AS fault
            FROM shown JOIN orders USING (order_id)
            WHERE shown.status <> orders.status
               OR shown.rejection_reason IS NOT orders.rejection_reason",
    },
    Rule {
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
    Rule {
        name: "versions run from 1 without holes",
        violations: "
            SELECT order_id, 'has ' || count(*) || ' events with versions from '
                || min(version) || ' to ' || max(version) AS fault
            FROM order_events GROUP BY order_id
            HAVING min(version) <> 1 OR max(version) <> count(*)",
    },
    Rule {
        name: "a history begins with the placement",
        violations: "
            SELECT order_id, 'has a history that begins with ' || event_type AS fault
            FROM order_events WHERE version = 1 AND event_type <> 'OrderPlaced'",
    },
    Rule {
        name: "an order is what its history ends with",
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
    Rule {
        name: "a history belongs to an order",
        violations: "
            SELECT DISTINCT order_id, 'has a history but does not exist' AS fault
            FROM order_events WHERE order_id NOT IN (SELECT order_id FROM orders)",
    },
    Rule {
        name: "a saga ends as its order does",
        violations: "
            SELECT orders.order_id, 'is ' || orders.status || coalesce(' ' || orders.rejection_reason, '')
                || ', but processing has it as '
                || coalesce(sagas.state || coalesce(' ' || sagas.reason, ''), 'unknown') AS fault
            FROM orders LEFT JOIN processing.sagas USING (order_id)
            WHERE orders.status IN ('FULFILLED', 'REJECTED', 'CANCELLED')
              AND (sagas.state IS NOT orders.status OR sagas.reason IS NOT orders.rejection_reason)",
    },
    Rule {
        name: "what is processed was placed",
        violations: "
            SELECT order_id, 'was processed but never placed' AS fault
            FROM processing.sagas WHERE order_id NOT IN (SELECT order_id FROM orders)",
    },
    Rule {
        name: "a fulfilled order is paid",
        violations: "
            SELECT orders.order_id, 'is FULFILLED, but its payment is '
                || coalesce(payments.state, 'missing') AS fault
            FROM orders LEFT JOIN processing.payments USING (order_id)
            WHERE orders.status = 'FULFILLED' AND payments.state IS NOT 'CAPTURED'",
    },
    Rule {
        name: "only a fulfilled order is paid",
        violations: "
            SELECT order_id, 'is ' || coalesce(sagas.state, 'unknown')
                || ', but its payment is captured and not refunded' AS fault
            FROM processing.payments LEFT JOIN processing.sagas USING (order_id)
            WHERE payments.state = 'CAPTURED'
              AND coalesce(sagas.state, '') NOT IN ('CAPTURED', 'COMPENSATING', 'FULFILLED')",
    },
    Rule {
        name: "a fulfilled order is shipped",
        violations: "
            SELECT order_id, 'is FULFILLED, but was not shipped' AS fault
            FROM orders WHERE status = 'FULFILLED'
              AND order_id NOT IN (SELECT order_id FROM processing.shipments)",
    },
    Rule {
        name: "only a fulfilled order is shipped",
        violations: "
            SELECT order_id, 'is ' || coalesce(sagas.state, 'unknown') || ', but was shipped' AS fault
            FROM processing.shipments LEFT JOIN processing.sagas USING (order_id)
            WHERE sagas.state IS NOT 'FULFILLED'",
    },
];

/// What is broken, a sentence each.
pub(super) async fn check(evidence: &mut Evidence) -> anyhow::Result<Vec<String>> {
    let mut sentences = Vec::new();
    for rule in &RULES {
        sentences.extend(violations(evidence, rule).await?);
    }
    Ok(sentences)
}

async fn violations(evidence: &mut Evidence, rule: &Rule) -> anyhow::Result<Vec<String>> {
    let sql = format!(
        "SELECT order_id, fault, (SELECT invoice FROM confirmed WHERE confirmed.order_id = found.order_id LIMIT 1)
         FROM ({}) AS found",
        rule.violations
    );
    // The text is made of constants of this file only.
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut evidence.connection);
    let mut findings = Findings::default();
    while let Some(row) = rows.try_next().await? {
        let order_id = uuid(row.try_get(0)?);
        let fault: String = row.try_get(1)?;
        let invoice: Option<String> = row.try_get(2)?;
        let invoice = invoice.map_or_else(String::new, |number| format!(" (invoice {number})"));
        findings.add(format!("order {order_id}{invoice} {fault}"));
    }
    Ok(findings.into_sentences())
}
