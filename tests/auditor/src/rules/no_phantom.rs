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
    if !limits.has_strangers {
        report.add(ASKED_FOR.findings(evidence).await?);
        report.add(CANCELLATION_ASKED_FOR.findings(evidence).await?);
    }
    Ok(report)
}

const ASKED_FOR: RuleCheck = RuleCheck {
    what: "every order was requested",
    violations: "
        SELECT order_id, 'exists, but was not requested' AS fault FROM orders
        WHERE NOT EXISTS (SELECT 1 FROM asked WHERE asked.request_id = orders.request_id
                          AND asked.customer_id = orders.customer_id)",
};

const CANCELLATION_ASKED_FOR: RuleCheck = RuleCheck {
    what: "every cancellation was requested",
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
            what: "orders",
            number: "SELECT count(*) FROM orders",
        },
        Count {
            what: "of calls that ended unknown",
            number: "SELECT count(*) FROM orders WHERE order_id NOT IN (SELECT order_id FROM confirmed)
                     AND (request_id, customer_id) IN (SELECT request_id, customer_id FROM asked WHERE outcome = 'unknown')",
        },
        Count {
            what: "calls refused",
            number: "SELECT count(*) FROM asked WHERE outcome = 'refused'",
        },
        Count {
            what: "events on the wire",
            number: "SELECT count(*) FROM events",
        },
    ],
    checks: &[
        RuleCheck {
            what: "no order exists for a refused request",
            violations: "
                SELECT order_id, 'exists, but its request was refused' AS fault FROM orders
                WHERE EXISTS (SELECT 1 FROM asked WHERE asked.request_id = orders.request_id
                              AND asked.customer_id = orders.customer_id)
                  AND NOT EXISTS (SELECT 1 FROM asked WHERE asked.request_id = orders.request_id
                              AND asked.customer_id = orders.customer_id AND outcome <> 'refused')",
        },
        RuleCheck {
            what: "an order equals the content of one of its calls",
            violations: "
                SELECT order_id, 'matches none of its calls' AS fault
                FROM orders JOIN order_bodies AS bodies USING (order_id)
                WHERE EXISTS (SELECT 1 FROM asked WHERE asked.request_id = orders.request_id
                              AND asked.customer_id = orders.customer_id AND asked.lines IS NOT NULL)
                  AND NOT EXISTS (SELECT 1 FROM asked WHERE asked.request_id = orders.request_id
                              AND asked.customer_id = orders.customer_id AND outcome <> 'refused'
                              AND asked.lines = bodies.lines AND asked.total = bodies.total
                              AND asked.currency = bodies.currency)",
        },
        RuleCheck {
            what: "a history belongs to an order",
            violations: "
                SELECT DISTINCT order_id, 'has a history but does not exist' AS fault
                FROM order_events WHERE order_id NOT IN (SELECT order_id FROM orders)",
        },
        RuleCheck {
            what: "a processed order was placed",
            violations: "
                SELECT order_id, 'was processed but never placed' AS fault
                FROM processing.sagas WHERE order_id NOT IN (SELECT order_id FROM orders)",
        },
        RuleCheck {
            what: "a published event of order-service is committed in its history",
            violations: "
                SELECT order_id, place, event_type || ' is published, but is not in the order''s history' AS fault
                FROM events WHERE topic = 'orders.order.events.v1'
                  AND event_id NOT IN (SELECT event_id FROM entries)",
        },
        RuleCheck {
            what: "a published event of processing-service is committed in its database",
            violations: "
                SELECT order_id, place, event_type || ' is published, but there is no saga' AS fault
                FROM events WHERE topic = 'processing.order.events.v1'
                  AND order_id NOT IN (SELECT order_id FROM processing.sagas)",
        },
        RuleCheck {
            what: "a published order equals the placed order",
            violations: "
                SELECT order_id, place, 'is published with other lines or another total than ordered' AS fault
                FROM events JOIN order_bodies AS bodies USING (order_id)
                WHERE event_type = 'OrderPlaced'
                  AND (events.lines <> bodies.lines OR events.currency IS NOT bodies.currency
                    OR events.amount IS NOT bodies.total)",
        },
    ],
};
