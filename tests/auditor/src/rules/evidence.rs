//! The evidence is complete: a rule proves nothing about records that were not read.

use anyhow::Result;

use super::rule::{Count, Rule, RuleCheck};
use crate::evidence::Evidence;
use crate::verdict::RuleReport;

pub const NAME: &str = "evidence";

pub(super) async fn report(evidence: &mut Evidence) -> Result<RuleReport> {
    let mut report = RULE.report(evidence).await?;
    report.count("unfinished lines", evidence.truncated_lines);
    Ok(report)
}

const RULE: Rule = Rule {
    name: NAME,
    counts: &[
        Count {
            name: "calls to place",
            number: "SELECT count(*) FROM place_calls",
        },
        Count {
            name: "calls to cancel",
            number: "SELECT count(*) FROM cancellations WHERE line IS NOT NULL",
        },
        Count {
            name: "records",
            number: "SELECT count(*) FROM records",
        },
        Count {
            name: "of them not events",
            number: "SELECT count(*) FROM records WHERE fault IS NOT NULL",
        },
    ],
    checks: &[
        RuleCheck {
            name: "a call that ended has begun",
            violations: "
                SELECT NULL AS order_id, 'line ' || line || ' of the journal ends call ' || call
                    || ', which has not started or has ended already' AS fault
                FROM unmatched_ends",
        },
        RuleCheck {
            name: "a read ends after its start",
            violations: "
                SELECT order_id, 'was read from ' || begun || ' to ' || ended || ' (line ' || line || ')' AS fault
                FROM reads WHERE ended < begun",
        },
        RuleCheck {
            name: "every topic was dumped",
            violations: "
                SELECT NULL AS order_id, 'the dump has no partition of the topic ' || column1 AS fault
                FROM (VALUES ('orders.order.events.v1'), ('processing.order.events.v1'),
                             ('orders.order.events.v1.dlq'), ('processing.order.events.v1.dlq'))
                WHERE column1 NOT IN (SELECT topic FROM partitions)",
        },
        RuleCheck {
            name: "every record is in the dump, from the first to the last",
            violations: "
                SELECT NULL AS order_id, topic || '/' || partition || '@' || low AS place, 'the dump has '
                    || count(records.position) || ' of ' || end_position || ' records of a partition, from '
                    || coalesce(min(records.position), low) || ' on' AS fault
                FROM partitions LEFT JOIN records USING (topic, partition)
                GROUP BY topic, partition
                HAVING count(DISTINCT records.position) <> end_position OR count(records.position) <> end_position
                    OR coalesce(max(records.position), -1) <> end_position - 1",
        },
    ],
};
