//! The rules, one file each, in the order of an order's life. Most checks are one query for violations.
//!
//! | rule | holds when |
//! |---|---|
//! | [`no_loss`] | every confirmed order exists, was published, and is final or set aside (its event is in a retry store) |
//! | [`no_phantom`] | nothing exists that was not requested, or that was refused |
//! | [`effect_once`] | every event took effect once: history, stock, money, shipment |
//! | [`wire_duplicates`] | no more records are repeated than the faults of the run explain |
//! | [`order_per_key`] | events of an order are in sequence, on one partition, and applied in sequence |
//! | [`reads`] | every read returned a prefix of the final history, and never less than an earlier read |
//! | [`offsets`] | no offset is committed beyond unfinished work |
//! | [`accounting`] | nothing is left over: every order, event and record is accounted for |
//! | [`evidence`] | the evidence itself is complete |

mod accounting;
mod effect_once;
mod evidence;
mod ledger;
mod no_loss;
mod no_phantom;
mod offsets;
mod order_per_key;
mod reads;
mod wire_duplicates;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::Limits;
use crate::evidence::{Evidence, uuid};
use crate::verdict::{Findings, RuleReport, Violation};

pub use self::accounting::NAME as ACCOUNTING;
pub use self::effect_once::NAME as EFFECT_ONCE;
pub use self::evidence::NAME as EVIDENCE;
pub use self::no_loss::NAME as NO_LOSS;
pub use self::no_phantom::NAME as NO_PHANTOM;
pub use self::offsets::NAME as OFFSETS;
pub use self::order_per_key::NAME as ORDER_PER_KEY;
pub use self::reads::NAME as READS;
pub use self::wire_duplicates::NAME as WIRE_DUPLICATES;

/// A check, as a query for its violations.
///
/// Each row is a violation: `fault` is a sentence whose subject is the order, if there is an `order_id`; `place` is a
/// position on a topic. Request and invoice are added from the journal.
struct Check {
    /// The condition; also part of the error when the query fails.
    what: &'static str,
    violations: &'static str,
}

/// The amount of evidence, as a query for a number.
struct Count {
    what: &'static str,
    number: &'static str,
}

/// The part of a rule that consists of queries.
struct Rule {
    name: &'static str,
    counts: &'static [Count],
    checks: &'static [Check],
}

pub(crate) async fn check(evidence: &mut Evidence, limits: &Limits) -> Result<Vec<RuleReport>> {
    Ok(vec![
        no_loss::RULE.report(evidence).await?,
        no_phantom::report(evidence, limits).await?,
        effect_once::report(evidence).await?,
        wire_duplicates::report(evidence, limits).await?,
        order_per_key::RULE.report(evidence).await?,
        reads::RULE.report(evidence).await?,
        offsets::report(evidence, limits).await?,
        accounting::report(evidence, limits).await?,
        evidence::report(evidence).await?,
    ])
}

impl Rule {
    async fn report(&self, evidence: &mut Evidence) -> Result<RuleReport> {
        let mut report = RuleReport::new(self.name);
        for count in self.counts {
            report.count(count.what, evidence.number(count.number).await?);
        }
        for check in self.checks {
            report.add(check.findings(evidence).await?);
        }
        Ok(report)
    }
}

impl Check {
    async fn findings(&self, evidence: &mut Evidence) -> Result<Findings> {
        let violations = self.run(evidence).await;
        violations.with_context(|| format!("cannot check that {}", self.what))
    }

    async fn run(&self, evidence: &mut Evidence) -> Result<Findings> {
        let mut findings = Findings::default();
        let mut rows = sqlx::query(self.violations).fetch(&mut evidence.connection);
        let mut found = Vec::new();
        while let Some(row) = rows.try_next().await? {
            // Coordinates are looked up only for listed violations.
            match found.len() < crate::verdict::SPELLED_OUT {
                true => found.push(violation(&row)?),
                false => findings.add_unnamed(),
            }
        }
        drop(rows);
        for (order_id, violation) in found {
            findings.add(with_names(evidence, order_id, violation).await?);
        }
        Ok(findings)
    }
}

fn violation(row: &SqliteRow) -> Result<(Option<Vec<u8>>, Violation)> {
    let order_id: Option<Vec<u8>> = row.try_get("order_id")?;
    let place: Option<String> = row.try_get("place").or_else(absent)?;
    let violation = Violation {
        order_id: order_id.as_deref().map(uuid),
        fault: row.try_get("fault")?,
        place,
        ..Violation::default()
    };
    Ok((order_id, violation))
}

/// Most checks have no column `place`.
fn absent<T>(error: sqlx::Error) -> Result<Option<T>, sqlx::Error> {
    match error {
        sqlx::Error::ColumnNotFound(_) => Ok(None),
        error => Err(error),
    }
}

/// Adds the request and the invoice of the order, from the journal or from the database.
async fn with_names(
    evidence: &mut Evidence,
    order_id: Option<Vec<u8>>,
    mut violation: Violation,
) -> Result<Violation> {
    let Some(order_id) = order_id else {
        return Ok(violation);
    };
    let names: Option<(Option<Vec<u8>>, Option<String>)> = sqlx::query_as(
        "SELECT request_id, invoice FROM (
             SELECT request_id, invoice, 1 AS rank FROM confirmed WHERE order_id = ?1
             UNION ALL
             SELECT orders.request_id, asked.invoice, 2 FROM orders LEFT JOIN asked USING (request_id, customer_id)
             WHERE orders.order_id = ?1)
         ORDER BY rank LIMIT 1",
    )
    .bind(order_id)
    .fetch_optional(&mut evidence.connection)
    .await?;
    if let Some((request_id, invoice)) = names {
        violation.request_id = request_id.as_deref().map(uuid);
        violation.invoice = invoice;
    }
    Ok(violation)
}
