//! The report of a run: the plan, the recovery time per kind of fault, the outcome of the orders, and the verdict,
//! which is also the exit code.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use auditor::verdict::Verdict;
use serde_json::{Value, json};

use super::plan::FaultPlan;
use super::recovery::{Inflicted, Recovery};
use super::verdict::Wire;
use crate::replay::summary::Summary;
use crate::report::write_json;

/// The result of a run.
#[derive(Clone, Debug)]
pub(super) struct ChaosReport {
    pub(super) plan: FaultPlan,
    pub(super) summary: Summary,
    pub(super) inflicted: Vec<Inflicted>,
    /// Records published again on purpose.
    pub(super) echoed: u64,
    pub(super) wire: Wire,
    pub(super) restarts: u32,
    /// Unexpected events, one sentence each.
    pub(super) problems: Vec<String>,
    pub(super) audit: Verdict,
}

/// Sorted recovery times per kind of fault.
type Recoveries = BTreeMap<String, Vec<Duration>>;

impl ChaosReport {
    /// Whether the run passed.
    pub(super) fn passed(&self) -> bool {
        self.failures().is_empty()
    }

    /// Why the run did not pass, one sentence each.
    fn failures(&self) -> Vec<String> {
        let counts = &self.summary.counts;
        let mut failures = self.problems.clone();
        let answered = counts.accepted + counts.refused_total();
        if answered != counts.submitted {
            failures.push(format!(
                "{} of {} orders got no answer",
                counts.submitted.saturating_sub(answered),
                counts.submitted
            ));
        }
        if counts.ended() != counts.accepted {
            failures.push(format!(
                "{} of {} accepted orders were not seen to become final",
                counts.accepted.saturating_sub(counts.ended()),
                counts.accepted
            ));
        }
        for inflicted in &self.inflicted {
            if inflicted.recovery == Recovery::Missed {
                failures.push(format!("no recovery from: {}", inflicted.fault));
            }
        }
        failures.extend(self.summary.problems.sentences());
        if !self.audit.is_ok() {
            failures.push("the audit is red".to_owned());
        }
        failures
    }

    fn faults(&self) -> BTreeMap<String, u64> {
        let mut faults = BTreeMap::new();
        for inflicted in &self.inflicted {
            *faults.entry(inflicted.fault.kind()).or_default() += 1;
        }
        faults
    }

    fn recoveries(&self) -> Recoveries {
        let mut recoveries = Recoveries::new();
        for inflicted in &self.inflicted {
            if let Recovery::After(time) = inflicted.recovery {
                recoveries
                    .entry(inflicted.fault.kind())
                    .or_default()
                    .push(time);
            }
        }
        recoveries.values_mut().for_each(|times| times.sort());
        recoveries
    }

    /// The figures as JSON.
    pub(super) fn to_json(&self) -> Value {
        let counts = &self.summary.counts;
        let recoveries = self.recoveries().into_iter().map(|(kind, times)| {
            let figures = json!({ "median": median(&times), "max": longest(&times) });
            (kind, figures)
        });
        json!({
            "seed": self.plan.seed,
            "seconds": self.plan.length.as_secs(),
            "engines": self.plan.engines.to_string(),
            "passed": self.passed(),
            "problems": self.failures(),
            "faults": self.faults(),
            "planned": self.plan.steps().len(),
            "recovery_seconds": recoveries.collect::<BTreeMap<_, _>>(),
            "submitted": counts.submitted,
            "accepted": counts.accepted,
            "refused": counts.refused_total(),
            "final": counts.ended(),
            "fulfilled": counts.fulfilled,
            "rejected": counts.rejected,
            "cancelled": counts.cancelled,
            "confirm_ms": { "p50": self.summary.confirm.p50_ms, "p99": self.summary.confirm.p99_ms },
            "outcome_ms": { "p50": self.summary.outcome.p50_ms, "p99": self.summary.outcome.p99_ms },
            "wire_records": self.wire.records,
            "wire_duplicates": self.wire.duplicates,
            "published_again_on_purpose": self.echoed,
            "restarts": self.restarts,
            "audit": { "ok": self.audit.is_ok(), "violations": self.audit.violations() },
        })
    }

    /// Writes the figures as JSON to a file.
    pub(super) fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        write_json(path, &self.to_json())
    }
}

/// Seconds, two decimals; `times` must be sorted.
fn median(times: &[Duration]) -> f64 {
    times.get(times.len() / 2).map_or(0.0, seconds)
}

fn longest(times: &[Duration]) -> f64 {
    times.last().map_or(0.0, seconds)
}

fn seconds(time: &Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}

impl fmt::Display for ChaosReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.plan)?;
        self.write_faults(formatter)?;
        self.write_orders(formatter)?;
        writeln!(formatter, "{}", self.audit)?;
        let failures = self.failures();
        if failures.is_empty() {
            return write!(
                formatter,
                "PASSED: nothing lost, nothing doubled, every accepted order final"
            );
        }
        write!(formatter, "FAILED")?;
        failures
            .iter()
            .try_for_each(|failure| write!(formatter, "\n  {failure}"))
    }
}

impl ChaosReport {
    fn write_faults(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recoveries = self.recoveries();
        writeln!(
            formatter,
            "{:<36} {:>5}  recovery time, median and maximum",
            "fault", "times"
        )?;
        for (kind, count) in self.faults() {
            write!(formatter, "{kind:<36} {count:>5}")?;
            match recoveries.get(&kind) {
                Some(times) => writeln!(
                    formatter,
                    "  {:>6.2} s  {:>6.2} s",
                    median(times),
                    longest(times)
                )?,
                None => writeln!(formatter)?,
            }
        }
        writeln!(formatter)
    }

    fn write_orders(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.summary.counts;
        let rows = [
            ("submitted", counts.submitted),
            ("accepted", counts.accepted),
            ("refused", counts.refused_total()),
            ("final", counts.ended()),
            ("  fulfilled", counts.fulfilled),
            ("  rejected", counts.rejected_total()),
            ("  cancelled", counts.cancelled),
            ("restarts of processes", u64::from(self.restarts)),
            ("records on the topics", self.wire.records),
            ("  published twice by the pair", self.wire.duplicates),
            ("  published again on purpose", self.echoed),
        ];
        for (name, number) in rows {
            writeln!(formatter, "{name:<36} {number:>5}")?;
        }
        let (confirm, outcome) = (self.summary.confirm, self.summary.outcome);
        writeln!(
            formatter,
            "to confirmation, p50 and p99 {:>10.1} ms {:>10.1} ms",
            confirm.p50_ms, confirm.p99_ms
        )?;
        writeln!(
            formatter,
            "to outcome, p50 and p99      {:>10.1} ms {:>10.1} ms\n",
            outcome.p50_ms, outcome.p99_ms
        )
    }
}

#[cfg(test)]
mod tests;
