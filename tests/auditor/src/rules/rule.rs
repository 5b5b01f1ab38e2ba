//! A rule as queries: counts of the evidence, and checks that find violations.

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::evidence::{Evidence, uuid};
use crate::verdict::{Findings, RuleReport, RuleViolation, SPELLED_OUT};

/// A check, as a query for its violations.
///
/// Each row is a violation: `fault` is a sentence whose subject is the order, if there is an `order_id`; `place` is a
/// position on a topic. Request and invoice are added from the journal.
pub(super) struct RuleCheck {
    /// The condition; also part of the error when the query fails.
    pub(super) name: &'static str,
    pub(super) violations: &'static str,
}

/// The amount of evidence, as a query for a number.
pub(super) struct Count {
    pub(super) name: &'static str,
    pub(super) number: &'static str,
}

/// The part of a rule that consists of queries.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) counts: &'static [Count],
    pub(super) checks: &'static [RuleCheck],
}

impl Rule {
    pub(super) async fn report(&self, evidence: &mut Evidence) -> Result<RuleReport> {
        let mut report = RuleReport::new(self.name);
        for count in self.counts {
            report.count(count.name, evidence.number(count.number).await?);
        }
        for check in self.checks {
            report.add(check.findings(evidence).await?);
        }
        Ok(report)
    }
}

impl RuleCheck {
    pub(super) async fn findings(&self, evidence: &mut Evidence) -> Result<Findings> {
        let violations = self.run(evidence).await;
        violations.with_context(|| format!("cannot check that {}", self.name))
    }

    async fn run(&self, evidence: &mut Evidence) -> Result<Findings> {
        let mut findings = Findings::default();
        let mut rows = sqlx::query(self.violations).fetch(&mut evidence.connection);
        let mut found = Vec::new();
        while let Some(row) = rows.try_next().await? {
            // Coordinates are looked up only for listed violations.
            match found.len() < SPELLED_OUT {
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

fn violation(row: &SqliteRow) -> Result<(Option<Vec<u8>>, RuleViolation)> {
    let order_id: Option<Vec<u8>> = row.try_get("order_id")?;
    let place: Option<String> = row.try_get("place").or_else(absent)?;
    let violation = RuleViolation {
        order_id: order_id.as_deref().map(uuid),
        fault: row.try_get("fault")?,
        place,
        ..RuleViolation::default()
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
    mut violation: RuleViolation,
) -> Result<RuleViolation> {
    let Some(order_id) = order_id else {
        return Ok(violation);
    };
    let names: Option<(Option<Vec<u8>>, Option<String>)> = sqlx::query_as(
        "SELECT request_id, invoice FROM (
             SELECT request_id, invoice, 1 AS rank FROM confirmed WHERE order_id = ?1
             UNION ALL
             SELECT orders.request_id, place_calls.invoice, 2 FROM orders LEFT JOIN place_calls USING (request_id, customer_id)
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
