//! The figures of a run per phase, and the outcome of all orders.

use std::fmt;
use std::path::Path;

use auditor::verdict::Verdict;
use serde_json::{Value, json};

use super::breaker::Transitions;
use super::phase::LoadPhase;
use crate::chaos::plan::EngineSet;
use crate::open_loop::measured::{Measured, millis};
use crate::open_loop::outcomes::Outcomes;
use crate::report::write_json;

/// The result of a run.
#[derive(Debug)]
pub(super) struct NeighboursReport {
    pub(super) engines: EngineSet,
    pub(super) phases: Vec<Passed>,
    pub(super) audit: Verdict,
}

/// The result of a phase.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) phase: LoadPhase,
    pub(super) measured: Measured,
    pub(super) transitions: Transitions,
}

impl NeighboursReport {
    /// Whether every order became final and the audit is green; the audit names an order that is not final.
    pub(super) fn passed(&self) -> bool {
        self.audit.is_ok()
    }

    /// Writes the figures as JSON to a file.
    pub(super) fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        write_json(path, &self.to_json())
    }

    fn to_json(&self) -> Value {
        let phases: Vec<_> = self.phases.iter().map(Passed::to_json).collect();
        json!({
            "engines": self.engines.to_string(),
            "phases": phases,
            "orders": self.audit.orders,
            "audit": { "ok": self.audit.is_ok(), "violations": self.audit.violations() },
            "passed": self.passed(),
        })
    }
}

impl Passed {
    fn to_json(&self) -> Value {
        let transitions = self.transitions.iter();
        let transitions: Vec<_> = transitions
            .map(|(message, count)| json!({ "message": message, "count": count }))
            .collect();
        json!({
            "phase": self.phase.to_string(),
            "load": self.measured.to_json(),
            "breaker": transitions,
        })
    }

    /// Orders by availability, refusals and failures by cause, transitions: each with its count.
    fn counts(&self) -> Vec<String> {
        let Outcomes {
            accepted,
            refused,
            failed,
            ..
        } = &self.measured.outcomes;
        let accepted = accepted
            .iter()
            .map(|(availability, calls)| format!("{} accepted {availability}", calls.count()));
        let refused = refused
            .iter()
            .map(|(cause, calls)| format!("{} refused {cause}", calls.count()));
        let failed = failed
            .iter()
            .map(|(cause, calls)| format!("{} failed {cause}", calls.count()));
        let transitions = self.transitions.iter();
        let transitions = transitions.map(|(message, count)| format!("{count} × {message}"));
        let counts = accepted.chain(refused).chain(failed).chain(transitions);
        counts.collect()
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = self.measured.all_accepted();
        let [p50, p99] = [0.5, 0.99].map(|share| millis(accepted.corrected.quantile(share)));
        let max = millis(accepted.corrected.max());
        write!(
            formatter,
            "{:<14} {p50:>9.2} {p99:>9.2} {max:>9.2}  {}",
            self.phase,
            self.counts().join("; ")
        )?;
        if self.measured.dropped > 0 {
            let dropped = self.measured.dropped;
            write!(formatter, "; {dropped} not sent")?;
        }
        if !self.measured.generator_kept_up() {
            write!(formatter, "; the generator did not keep up")?;
        }
        Ok(())
    }
}

impl fmt::Display for NeighboursReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<14} {:>9} {:>9} {:>9}  PlaceOrder in milliseconds; outcomes",
            "phase", "p50", "p99", "max"
        )?;
        for phase in &self.phases {
            writeln!(formatter, "{phase}")?;
        }
        write!(formatter, "\n{}", self.audit)?;
        match self.passed() {
            true => write!(formatter, "PASSED: every order final, no violation"),
            false => write!(formatter, "FAILED: the audit is red"),
        }
    }
}
