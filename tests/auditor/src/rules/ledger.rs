//! Balances of stock and money. Part of the rule [`super::effect_once`].
//!
//! The demand of an order is taken from order-service, its effects from processing-service.

use super::rule::RuleCheck;

pub(super) const CHECKS: &[RuleCheck] = &[
    RuleCheck {
        name: "an order is processed with its ordered lines",
        violations: "
            SELECT order_id, 'was processed with other lines than ordered' AS fault
            FROM order_bodies AS ordered JOIN saga_bodies AS processed USING (order_id)
              JOIN processing.sagas USING (order_id)
            WHERE ordered.pieces <> processed.pieces
              -- The cancellation of an order whose own event was lost: its saga has no lines, and took no stock.
              AND NOT (sagas.state = 'CANCELLED' AND processed.pieces = '[]')",
    },
    RuleCheck {
        name: "a fulfilled order is paid with its total",
        violations: "
            SELECT order_id, 'costs ' || total || ' ' || order_bodies.currency || ', but ' || minor_units || ' '
                || payments.currency || ' were captured (minor units)' AS fault
            FROM orders JOIN order_bodies USING (order_id) JOIN processing.payments USING (order_id)
            WHERE orders.status = 'FULFILLED'
              AND (total <> minor_units OR order_bodies.currency <> payments.currency)",
    },
    RuleCheck {
        name: "a PaymentCaptured event equals its payment",
        violations: "
            SELECT order_id, place, 'has a payment of ' || minor_units || ' ' || payments.currency
                || ', but ' || amount || ' ' || events.currency || ' were published (minor units)' AS fault
            FROM events JOIN processing.payments USING (order_id)
            WHERE event_type = 'PaymentCaptured' AND (amount <> minor_units OR events.currency <> payments.currency)",
    },
    RuleCheck {
        name: "the captured sum equals the total of fulfilled orders",
        violations: "
            WITH cost (currency, sum) AS (
                SELECT currency, sum(total) FROM orders JOIN order_bodies USING (order_id)
                WHERE status = 'FULFILLED' GROUP BY currency),
            captured (currency, sum) AS (
                SELECT currency, sum(minor_units) FROM processing.payments
                WHERE state = 'CAPTURED' GROUP BY currency)
            SELECT NULL AS order_id, coalesce(captured.sum, 0) || ' ' || currency
                || ' were captured, but fulfilled orders cost ' || coalesce(cost.sum, 0) || ' (minor units)' AS fault
            FROM cost FULL JOIN captured USING (currency)
            WHERE cost.sum IS NOT captured.sum",
    },
    RuleCheck {
        name: "opening stock = available + reserved + shipped",
        violations: "
            SELECT NULL AS order_id, 'SKU ' || sku || ': ' || available || ' available, ' || reserved || ' reserved and '
                || shipped || ' shipped pieces differ from the opening stock of ' || opening AS fault
            FROM processing.stock WHERE opening <> available + reserved + shipped",
    },
    RuleCheck {
        name: "reserved stock equals the demand of orders in progress",
        violations: "
            WITH held (sku, pieces) AS (
                SELECT line.value ->> 0, sum(line.value ->> 1)
                FROM processing.sagas JOIN saga_bodies USING (order_id), json_each(saga_bodies.pieces) AS line
                WHERE state IN ('RESERVED', 'CAPTURED', 'COMPENSATING') GROUP BY 1)
            SELECT NULL AS order_id, 'SKU ' || sku || ': ' || reserved || ' pieces are reserved, but orders in progress have '
                || coalesce(pieces, 0) AS fault
            FROM processing.stock LEFT JOIN held USING (sku)
            WHERE reserved <> coalesce(pieces, 0)",
    },
    RuleCheck {
        name: "shipped stock equals the demand of fulfilled orders",
        violations: "
            WITH sold (sku, pieces) AS (
                SELECT line.value ->> 0, sum(line.value ->> 1)
                FROM orders JOIN order_bodies USING (order_id), json_each(order_bodies.pieces) AS line
                WHERE status = 'FULFILLED' GROUP BY 1)
            SELECT NULL AS order_id, 'SKU ' || sku || ': ' || CASE
                WHEN shipped IS NULL THEN pieces || ' pieces were shipped of a SKU without stock'
                ELSE shipped || ' pieces are shipped, but fulfilled orders have ' || coalesce(pieces, 0) END AS fault
            FROM processing.stock FULL JOIN sold USING (sku)
            WHERE shipped IS NOT coalesce(pieces, 0)",
    },
];
