//! No phantom: nothing exists that was not requested, or that was refused. (Jepsen: G1a.)
//!
//! An order whose call ended unknown may exist or not. An order without a call in the journal is a phantom, unless other
//! clients placed orders too.

use anyhow::Result;

use super::rule::{Count, Rule, RuleCheck};
use crate::Limits;
use crate::evidence::Evidence;
use crate::verdict::RuleReport;

pub const NAME: &str = "no-phantom";

pub(super) async fn report(evidence: &mut Evidence, limits: &Limits) -> Result<RuleReport> {
    let mut report = RULE.report(evidence).await?;
    if !limits.has_other_clients {
        report.add(ASKED_FOR.findings(evidence).await?);
        report.add(CANCELLATION_ASKED_FOR.findings(evidence).await?);
    }
    Ok(report)
}

const ASKED_FOR: RuleCheck = RuleCheck {
    name: "every order was requested",
    violations: "
        SELECT order_id, 'exists, but was not requested' AS fault FROM orders
        WHERE NOT EXISTS (SELECT 1 FROM place_calls WHERE place_calls.request_id = orders.request_id
                          AND place_calls.customer_id = orders.customer_id)",
};

const CANCELLATION_ASKED_FOR: RuleCheck = RuleCheck {
    name: "every cancellation was requested",
    violations: "
        SELECT order_id, 'has a cancellation that was not requested' AS fault FROM order_events
        WHERE event_type = 'CancellationRequested' AND NOT EXISTS (
            SELECT 1 FROM cancellations WHERE cancellations.order_id = order_events.order_id
              AND outcome <> 'refused')",
};

const RULE: Rule = Rule {
    name: NAME,
    counts: &[
        Count {
            name: "orders",
            number: "SELECT count(*) FROM orders",
        },
        Count {
            name: "of calls that ended unknown",
            number: "SELECT count(*) FROM orders WHERE order_id NOT IN (SELECT order_id FROM confirmed)
                     AND (request_id, customer_id) IN (SELECT request_id, customer_id FROM place_calls WHERE outcome = 'unknown')",
        },
        Count {
            name: "calls refused",
            number: "SELECT count(*) FROM place_calls WHERE outcome = 'refused'",
        },
        Count {
            name: "events on the wire",
            number: "SELECT count(*) FROM events",
        },
    ],
    checks: &[
        RuleCheck {
            name: "no order exists for a refused request",
            violations: "
                SELECT order_id, 'exists, but its request was refused' AS fault FROM orders
                WHERE EXISTS (SELECT 1 FROM place_calls WHERE place_calls.request_id = orders.request_id
                              AND place_calls.customer_id = orders.customer_id)
                  AND NOT EXISTS (SELECT 1 FROM place_calls WHERE place_calls.request_id = orders.request_id
                              AND place_calls.customer_id = orders.customer_id AND outcome <> 'refused')",
        },
        RuleCheck {
            name: "an order equals the content of one of its calls",
            violations: "
                SELECT order_id, 'matches none of its calls' AS fault
                FROM orders JOIN order_bodies AS bodies USING (order_id)
                WHERE EXISTS (SELECT 1 FROM place_calls WHERE place_calls.request_id = orders.request_id
                              AND place_calls.customer_id = orders.customer_id AND place_calls.lines IS NOT NULL)
                  AND NOT EXISTS (SELECT 1 FROM place_calls WHERE place_calls.request_id = orders.request_id
                              AND place_calls.customer_id = orders.customer_id AND outcome <> 'refused'
                              AND place_calls.lines = bodies.lines AND place_calls.total = bodies.total
                              AND place_calls.currency = bodies.currency)",
        },
        RuleCheck {
            name: "a history belongs to an order",
            violations: "
                SELECT DISTINCT order_id, 'has a history but does not exist' AS fault
                FROM order_events WHERE order_id NOT IN (SELECT order_id FROM orders)",
        },
        RuleCheck {
            name: "a processed order was placed",
            violations: "
                SELECT order_id, 'was processed but never placed' AS fault
                FROM processing.sagas WHERE order_id NOT IN (SELECT order_id FROM orders)",
        },
        RuleCheck {
            name: "a published event of order-service is committed in its history",
            violations: "
                SELECT order_id, place, event_type || ' is published, but is not in the order''s history' AS fault
                FROM events WHERE topic = 'orders.order.events.v1'
                  AND event_id NOT IN (SELECT event_id FROM entries)",
        },
        RuleCheck {
            name: "a published event of processing-service is committed in its database",
            violations: "
                SELECT order_id, place, event_type || ' is published, but there is no saga' AS fault
                FROM events WHERE topic = 'processing.order.events.v1'
                  AND order_id NOT IN (SELECT order_id FROM processing.sagas)",
        },
        RuleCheck {
            name: "a published order equals the placed order",
            violations: "
                SELECT order_id, place, 'is published with other lines or another total than ordered' AS fault
                FROM events JOIN order_bodies AS bodies USING (order_id)
                WHERE event_type = 'OrderPlaced'
                  AND (events.lines <> bodies.lines OR events.currency IS NOT bodies.currency
                    OR events.amount IS NOT bodies.total)",
        },
    ],
};
