//! Order per key: the first copies of an order's events are in sequence, on one partition, and applied in sequence.

use super::rule::{Count, Rule, RuleCheck};

pub const NAME: &str = "order-per-key";

pub(super) const RULE: Rule = Rule {
    name: NAME,
    counts: &[
        Count {
            name: "keys",
            number: "SELECT count(DISTINCT order_id) FROM events",
        },
        Count {
            name: "events",
            number: "SELECT count(*) FROM events",
        },
    ],
    checks: &[
        RuleCheck {
            name: "the key of an event is its order",
            violations: "
                SELECT order_id, place, 'has an event under the key ' || coalesce(CAST(key AS TEXT), 'null') AS fault
                FROM records WHERE event_id IS NOT NULL
                  AND unhex(replace(CAST(key AS TEXT), '-', '')) IS NOT order_id",
        },
        RuleCheck {
            name: "the events of an order are on one partition",
            violations: "
                SELECT order_id, max(place) AS place, 'has events on ' || count(DISTINCT partition) || ' partitions' AS fault
                FROM records WHERE event_id IS NOT NULL
                  AND topic IN ('orders.order.events.v1', 'processing.order.events.v1')
                GROUP BY topic, order_id HAVING count(DISTINCT partition) > 1",
        },
        RuleCheck {
            name: "the events of an order are published in sequence",
            violations: "
                SELECT order_id, place, 'has event ' || sequence || ' (' || event_type || ') after event ' || before AS fault
                FROM (SELECT *, lag(sequence, 1, 0) OVER (PARTITION BY topic, order_id ORDER BY position) AS before
                      FROM events)
                WHERE sequence <> before + 1",
        },
        RuleCheck {
            name: "outcomes are applied in sequence",
            violations: "
                SELECT order_id, place, 'has event ' || sequence || ' (' || event_type
                    || ') at version ' || version || ', after event ' || before AS fault
                FROM (SELECT entries.order_id, place, version, sequence, events.event_type,
                          lag(sequence, 1, 0) OVER (PARTITION BY events.topic, entries.order_id ORDER BY version) AS before
                      FROM entries JOIN events USING (event_id))
                WHERE sequence <= before",
        },
        RuleCheck {
            name: "the inbox of order-service has no gap before the last outcome",
            violations: "
                SELECT orders.order_id, 'has applied ' || count(inbox.event_id) || ' outcomes up to number '
                    || max(inbox.sequence) || ', but its last sequence is ' || processing_sequence AS fault
                FROM orders JOIN main.inbox ON inbox.entity_id = orders.order_id GROUP BY orders.order_id
                HAVING count(inbox.event_id) <> max(inbox.sequence) OR max(inbox.sequence) <> processing_sequence",
        },
    ],
};
