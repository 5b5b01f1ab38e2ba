//! Wire duplicates: a fault between the broker's acknowledgement and its commit in the outbox publishes a record again.
//! Duplicates are counted, and limited to the number that the faults of the run explain.

use anyhow::Result;

use super::rule::{Count, Rule, RuleCheck};
use crate::Limits;
use crate::evidence::Evidence;
use crate::verdict::{Findings, RuleReport, RuleViolation};

pub const NAME: &str = "wire-duplicates";

/// Repeated records of events, on both event topics.
const DUPLICATES: &str = "SELECT sum(copies - 1) FROM events";

pub(super) async fn report(evidence: &mut Evidence, limits: &Limits) -> Result<RuleReport> {
    let mut report = RULE.report(evidence).await?;
    let duplicates = evidence.number(DUPLICATES).await?;
    let most = limits.wire_duplicates.unwrap_or(u64::MAX);
    if duplicates > most {
        let mut findings = Findings::default();
        findings.add(RuleViolation {
            fault: format!("{duplicates} records were published again, at most {most} allowed"),
            ..RuleViolation::default()
        });
        report.add(findings);
        report.add(AGAIN.findings(evidence).await?);
    }
    Ok(report)
}

const AGAIN: RuleCheck = RuleCheck {
    name: "an event is published once",
    violations: "
        SELECT order_id, place, 'has ' || event_type || ' ' || copies || ' times on the topic' AS fault
        FROM events WHERE copies > 1 ORDER BY copies DESC",
};

const RULE: Rule = Rule {
    name: NAME,
    counts: &[
        Count {
            name: "records of events",
            number: "SELECT sum(copies) FROM events",
        },
        Count {
            name: "published again",
            number: DUPLICATES,
        },
    ],
    checks: &[],
};
