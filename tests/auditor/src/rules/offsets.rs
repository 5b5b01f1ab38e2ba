//! Offsets: no group has committed beyond the end, or beyond work that is not done; after a clean stop, all of it.
//!
//! (Jepsen: inconsistent-offsets.) Work on a record is done when it took effect, was recognised as a duplicate, or was
//! moved to the retry store. An event of a type that this contract does not know may be skipped.

use anyhow::Result;

use super::rule::{Count, Rule, RuleCheck};
use crate::Limits;
use crate::evidence::Evidence;
use crate::verdict::RuleReport;

pub const NAME: &str = "offsets";

pub(super) async fn report(evidence: &mut Evidence, limits: &Limits) -> Result<RuleReport> {
    let mut report = RULE.report(evidence).await?;
    if limits.stopped_cleanly {
        report.add(EVERYTHING.findings(evidence).await?);
    }
    Ok(report)
}

const EVERYTHING: RuleCheck = RuleCheck {
    name: "after a clean stop everything is committed",
    violations: "
        SELECT NULL AS order_id, topic || '/' || partition || '@' || coalesce(position, low) AS place,
            'after a clean stop the records from here to ' || end_position || ' are not committed' AS fault
        FROM partitions LEFT JOIN committed USING (topic, partition)
        WHERE topic IN ('orders.order.events.v1', 'processing.order.events.v1')
          AND low < end_position AND coalesce(position, -1) < end_position",
};

const RULE: Rule = Rule {
    name: NAME,
    counts: &[
        Count {
            name: "partitions",
            number: "SELECT count(*) FROM partitions",
        },
        Count {
            name: "committed",
            number: "SELECT count(*) FROM committed",
        },
        Count {
            name: "records below",
            number: "SELECT count(*) FROM records JOIN committed USING (topic, partition)
                     WHERE records.position < committed.position",
        },
    ],
    checks: &[
        RuleCheck {
            name: "no committed offset is beyond the end of its partition",
            violations: "
                SELECT NULL AS order_id, topic || '/' || partition || '@' || end_position AS place,
                    consumer || ' has committed ' || position || ', but the partition ends here' AS fault
                FROM committed JOIN partitions USING (topic, partition)
                WHERE position > end_position",
        },
        RuleCheck {
            // Offsets pass records that were deleted unread.
            name: "a committed record that is not an event is in the retry store or a dead letter",
            violations: "
                SELECT order_id, place, 'a record that is not an event (' || fault || ') is committed by ' || consumer
                    || ', but neither in the retry store nor a dead letter' AS fault
                FROM records JOIN committed USING (topic, partition)
                WHERE records.position < committed.position AND fault IS NOT NULL
                  AND NOT EXISTS (SELECT 1 FROM deleted_unread WHERE deleted_unread.topic = records.topic
                      AND deleted_unread.partition = records.partition AND records.position >= deleted_unread.position
                      AND records.position < deleted_unread.end_position)
                  AND NOT EXISTS (SELECT 1 FROM temp.retry_events WHERE retry_events.topic = records.topic
                      AND retry_events.partition = records.partition AND retry_events.position = records.position)
                  AND NOT EXISTS (SELECT 1 FROM records AS letter WHERE letter.origin_topic = records.topic
                      AND letter.origin_partition = records.partition AND letter.origin_position = records.position)",
        },
        RuleCheck {
            name: "a committed event of an order has ended its saga",
            violations: "
                SELECT order_id, place, event_type || ' is committed by ' || consumer || ', but its saga '
                    || coalesce('is ' || state, 'is missing') AS fault
                FROM records JOIN committed USING (topic, partition) LEFT JOIN processing.sagas USING (order_id)
                WHERE topic = 'orders.order.events.v1' AND records.position < committed.position
                  AND event_type IS NOT NULL
                  AND coalesce(state, '') NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED')
                  AND order_id NOT IN (SELECT order_id FROM orders_in_retry_store)",
        },
        RuleCheck {
            name: "a committed outcome is applied",
            violations: "
                SELECT order_id, place, event_type || ' is committed by ' || consumer
                    || ', but is not in the order''s history' AS fault
                FROM records JOIN committed USING (topic, partition) LEFT JOIN orders USING (order_id)
                WHERE topic = 'processing.order.events.v1' AND records.position < committed.position
                  AND event_type IS NOT NULL
                  AND event_id NOT IN (SELECT event_id FROM entries)
                  AND sequence > coalesce(processing_sequence, 0)
                  AND order_id NOT IN (SELECT order_id FROM orders_in_retry_store)",
        },
    ],
};
