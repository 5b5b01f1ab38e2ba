//! No loss: every confirmed order exists as requested, was published, and reached a final state.
//!
//! (Jepsen: lost-write.) For an order that is not final, the violation names the last place where it was found.

use super::rule::{Count, Rule, RuleCheck};

pub const NAME: &str = "no-loss";

pub(super) const RULE: Rule = Rule {
    name: NAME,
    counts: &[
        Count {
            name: "orders confirmed",
            number: "SELECT count(DISTINCT order_id) FROM confirmed",
        },
        Count {
            name: "of them final",
            number: "SELECT count(DISTINCT order_id) FROM confirmed WHERE order_id NOT IN (SELECT order_id FROM outstanding)",
        },
        Count {
            name: "of them in a retry store",
            number: "SELECT count(DISTINCT order_id) FROM confirmed JOIN outstanding USING (order_id) WHERE is_in_retry_store",
        },
    ],
    checks: &[
        RuleCheck {
            name: "a confirmed order reaches a final state",
            violations: "
                SELECT DISTINCT order_id, place, 'was confirmed and is lost' ||
                    coalesce(' at ' || status, '') || ': ' || last_place AS fault
                FROM confirmed JOIN outstanding USING (order_id) LEFT JOIN orders USING (order_id)
                WHERE orders.order_id IS NULL OR NOT is_in_retry_store",
        },
        RuleCheck {
            name: "a request is confirmed with one order",
            violations: "
                SELECT min(order_id) AS order_id, 'is one of ' || count(DISTINCT order_id)
                    || ' that were confirmed for the same request' AS fault
                FROM confirmed GROUP BY request_id, customer_id HAVING count(DISTINCT order_id) > 1",
        },
        RuleCheck {
            name: "an order is confirmed to one request",
            violations: "
                SELECT order_id, 'was confirmed for ' || count(DISTINCT request_id) || ' requests' AS fault
                FROM confirmed GROUP BY order_id HAVING count(DISTINCT request_id) > 1",
        },
        RuleCheck {
            name: "a confirmed order belongs to its request",
            violations: "
                SELECT DISTINCT order_id, 'belongs to another request than it was confirmed for' AS fault
                FROM confirmed JOIN orders USING (order_id)
                WHERE orders.request_id <> confirmed.request_id
                   OR orders.customer_id <> confirmed.customer_id",
        },
        RuleCheck {
            name: "a confirmed order has the requested lines and total",
            violations: "
                SELECT DISTINCT order_id, 'was confirmed for ' || confirmed.total || ' ' || confirmed.currency
                    || ' and lines ' || confirmed.lines || ', but is for ' || bodies.total || ' ' || bodies.currency
                    || ' and lines ' || bodies.lines AS fault
                FROM confirmed JOIN order_bodies AS bodies USING (order_id)
                WHERE confirmed.lines IS NOT NULL
                  AND (confirmed.lines <> bodies.lines OR confirmed.total <> bodies.total
                    OR confirmed.currency <> bodies.currency)",
        },
        RuleCheck {
            name: "every history entry is on its topic",
            violations: "
                SELECT entries.order_id, entries.event_type || ' (version ' || version
                    || ') is in its history, but is not on the topic ' || entries.topic AS fault
                FROM entries
                WHERE event_id NOT IN (SELECT event_id FROM events)
                  AND order_id NOT IN (SELECT order_id FROM outstanding)
                  AND order_id NOT IN (SELECT order_id FROM waiting WHERE order_id IS NOT NULL)",
        },
    ],
};
