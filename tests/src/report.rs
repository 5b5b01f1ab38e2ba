//! The report of a run: figures as text and JSON, and the verdict, which is also the exit code.
//!
//! A run passes only if every order was answered, every accepted order was seen to reach one final state, and the audit
//! found no violation.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context;
use auditor::verdict::Verdict;
use serde_json::{Value, json};

use crate::replay::summary::{Latency, Summary};

/// The result of a run.
#[derive(Clone, Debug)]
pub struct ReplayReport {
    /// The client's view.
    pub summary: Summary,
    /// Number of restarts per process.
    pub restarts: BTreeMap<String, u32>,
    pub audit: Verdict,
}

impl ReplayReport {
    /// Whether the run passed.
    pub fn passed(&self) -> bool {
        self.failures().is_empty()
    }

    /// Why the run did not pass, one sentence each.
    pub fn failures(&self) -> Vec<String> {
        let counts = &self.summary.counts;
        let answered = counts.accepted + counts.refused_total();
        let mut failures = Vec::new();
        if answered != counts.submitted {
            let missing = counts.submitted.saturating_sub(answered);
            failures.push(format!(
                "{missing} of {} orders got no answer",
                counts.submitted
            ));
        }
        if counts.ended() != counts.accepted {
            let missing = counts.accepted.saturating_sub(counts.ended());
            failures.push(format!(
                "{missing} of {} accepted orders were not seen to become final",
                counts.accepted
            ));
        }
        failures.extend(self.summary.problems.sentences());
        if !self.audit.is_ok() {
            failures.push("the audit is red".to_owned());
        }
        failures
    }

    /// The figures as JSON.
    pub fn to_json(&self) -> Value {
        let summary = &self.summary;
        let counts = &summary.counts;
        json!({
            "submitted": counts.submitted,
            "accepted": counts.accepted,
            "refused": counts.refused,
            "unanswered": counts.unanswered,
            "fulfilled": counts.fulfilled,
            "rejected": counts.rejected,
            "cancelled": counts.cancelled,
            "confirm_ms": latency_json(summary.confirm),
            "outcome_ms": latency_json(summary.outcome),
            "confirmations_per_second": rounded(summary.confirmations_per_second),
            "orders_per_second": rounded(summary.orders_per_second),
            "restarts": self.restarts,
            "problems": summary.problems.sentences(),
            "audit": { "ok": self.audit.is_ok(), "violations": self.audit.violations() },
        })
    }

    /// Writes the figures as JSON to a file.
    pub fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        write_json(path, &self.to_json())
    }

    fn write_figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.summary.counts;
        figure(f, 0, "submitted", counts.submitted)?;
        figure(f, 0, "accepted", counts.accepted)?;
        figure(f, 1, "fulfilled", counts.fulfilled)?;
        figure(f, 1, "rejected", counts.rejected_total())?;
        for (reason, orders) in &counts.rejected {
            figure(f, 2, reason, *orders)?;
        }
        let cancelled = format!("cancelled (of {} asked for)", counts.cancellations);
        figure(f, 1, &cancelled, counts.cancelled)?;
        figure(f, 0, "refused", counts.refused_total())?;
        for (reason, orders) in &counts.refused {
            figure(f, 1, reason, *orders)?;
        }
        if counts.unanswered > 0 {
            figure(f, 0, "unanswered", counts.unanswered)?;
        }
        Ok(())
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = &self.summary;
        writeln!(f, "{:<18}{:>12}{:>12}", "latency", "p50", "p99")?;
        for (name, latency) in [
            ("to confirmation", summary.confirm),
            ("to outcome", summary.outcome),
        ] {
            let (p50, p99) = (millis(latency.p50_ms), millis(latency.p99_ms));
            writeln!(f, "  {name:<16}{p50:>12}{p99:>12}")?;
        }
        writeln!(
            f,
            "{:.0} confirmations/s, {:.0} orders/s to their final state",
            summary.confirmations_per_second, summary.orders_per_second
        )?;
        for (process, restarts) in self.restarts.iter().filter(|(_, restarts)| **restarts > 0) {
            writeln!(f, "{process}: {restarts} restarts")?;
        }
        Ok(())
    }
}

/// The report as printed at the end of a run.
impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_figures(f)?;
        writeln!(f)?;
        self.write_latencies(f)?;
        if let Some(example) = &self.summary.example {
            writeln!(f, "\n{example}")?;
        }
        writeln!(f, "{}", self.audit)?;
        let failures = self.failures();
        if failures.is_empty() {
            return writeln!(
                f,
                "PASSED: every accepted order reached exactly one final state, and the audit found no violation"
            );
        }
        writeln!(f, "FAILED:")?;
        for failure in failures {
            writeln!(f, "  {failure}")?;
        }
        Ok(())
    }
}

/// Writes figures as JSON to a file.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_json(path: &Path, figures: &Value) -> anyhow::Result<()> {
    // Printing a value fails only for keys that are no text, which JSON values do not have.
    let text = serde_json::to_string_pretty(figures)? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A figure with its indented name.
fn figure(f: &mut fmt::Formatter<'_>, depth: usize, name: &str, value: u64) -> fmt::Result {
    let indent = 2 * depth;
    let width = 60 - indent;
    writeln!(f, "{:indent$}{name:<width$}{value:>9}", "")
}

fn millis(value: f64) -> String {
    format!("{value:.1} ms")
}

fn latency_json(latency: Latency) -> Value {
    json!({ "p50": latency.p50_ms, "p99": latency.p99_ms })
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
