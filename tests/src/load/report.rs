//! The report of a run, as text, JSON, a page, and percentile texts; and the exit code.

mod hgrm;
mod html;
mod text;

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use auditor::verdict::Verdict;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::arguments::ReportArguments;
use super::figures::{LoadFigures, LoadWindow, OrderOutcomes, SlowCall};
use super::knee::Knee;
use super::plan::{LoadPlan, RunEnd};
use super::slo::SloResult;
use crate::open_loop::outcomes::millis;
use crate::report::write_json;

/// Name and version of the JSON; docs/load.md describes it.
pub(super) const SCHEMA: &str = "orders-load/1";

#[derive(Clone, Debug)]
pub(super) struct LoadReport {
    pub(super) started: SystemTime,
    pub(super) targets: Vec<String>,
    pub(super) plan: LoadPlan,
    pub(super) deadline: Duration,
    pub(super) end: RunEnd,
    pub(super) figures: LoadFigures,
    pub(super) slo: Vec<SloResult>,
    pub(super) knee: Option<Knee>,
    /// Only of a stack of its own.
    pub(super) audit: Option<Verdict>,
}

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadExit {
    Done = 0,
    SloBroken = 1,
    /// Wrong usage, or the target cannot be reached.
    Usage = 2,
    NotAMeasurement = 3,
    EndedEarly = 4,
    AuditRed = 5,
}

impl LoadReport {
    /// The worst finding decides.
    pub(super) fn exit(&self) -> LoadExit {
        let is_red = self.audit.as_ref().is_some_and(|audit| !audit.is_ok());
        let has_no_knee = self
            .knee
            .as_ref()
            .is_some_and(|knee| knee.per_second.is_none());
        if is_red {
            LoadExit::AuditRed
        } else if self.end != RunEnd::Completed {
            LoadExit::EndedEarly
        } else if self.figures.invalid().is_some() || self.is_knee_of_the_tool() {
            LoadExit::NotAMeasurement
        } else if has_no_knee || self.slo.iter().any(|result| !result.holds) {
            LoadExit::SloBroken
        } else {
            LoadExit::Done
        }
    }

    fn is_knee_of_the_tool(&self) -> bool {
        self.knee
            .as_ref()
            .is_some_and(|knee| knee.is_limit_of_the_tool)
    }

    /// Writes the files that were asked for.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn write(&self, arguments: &ReportArguments) -> Result<()> {
        if let Some(path) = &arguments.json {
            write_json(path, &self.to_json())?;
        }
        if let Some(path) = &arguments.html {
            html::page(self).write(path)?;
        }
        if let Some(directory) = &arguments.hgrm {
            hgrm::write_all(&self.figures, directory)?;
        }
        Ok(())
    }

    pub(super) fn to_json(&self) -> Value {
        let figures = &self.figures;
        let operations = figures.operations.iter();
        let operations: serde_json::Map<_, _> = operations
            .map(|(operation, outcomes)| (operation.name().to_owned(), outcomes.to_json()))
            .collect();
        let windows = figures.windows.iter().enumerate();
        let windows: Vec<_> = windows
            .map(|(number, window)| window_json(figures, number, window))
            .collect();
        let audit = self.audit.as_ref();
        json!({
            "schema": SCHEMA,
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": self.started_at(),
            "load": self.load_json(),
            "end": self.end.to_string(),
            "exit_code": self.exit() as u8,
            "not_a_measurement": figures.invalid(),
            "slo": self.slo.iter().map(SloResult::to_json).collect::<Vec<_>>(),
            "measured_s": figures.length.as_secs_f64(),
            "offered": figures.offered,
            "dropped": figures.dropped,
            "error_share": figures.error_share(),
            "tool_lag_ms": figures.lag.to_json(),
            "operations": operations,
            "outcome": outcome_json(&figures.order_outcomes),
            "window_s": figures.window_length.as_secs_f64(),
            "windows": windows,
            "slowest": figures.slowest.iter().map(slow_json).collect::<Vec<_>>(),
            "knee": self.knee.as_ref().map(Knee::to_json),
            "audit": audit.map(|audit| json!({ "ok": audit.is_ok(), "violations": audit.violations() })),
        })
    }

    fn load_json(&self) -> Value {
        let plan = &self.plan;
        json!({
            "targets": self.targets,
            "pace": plan.pace.to_string(),
            "warm_up_s": plan.warm_up.as_secs_f64(),
            "mix": plan.mix.to_string(),
            "in_flight": plan.in_flight,
            "queue": plan.queue,
            "deadline_ms": millis(self.deadline),
            "watch_share": plan.watch_share,
            "trace_sampling": plan.sampling,
        })
    }

    fn started_at(&self) -> String {
        let started = OffsetDateTime::from(self.started).truncate_to_second();
        // Fails only for years beyond four digits.
        started.format(&Rfc3339).unwrap_or_default()
    }
}

fn window_json(figures: &LoadFigures, number: usize, window: &LoadWindow) -> Value {
    json!({
        "at_s": number as f64 * figures.window_length.as_secs_f64(),
        "offered": window.offered,
        "accepted": window.accepted,
        "declined": window.declined,
        "refused": window.refused,
        "failed": window.failed,
        "dropped": window.dropped,
        "confirm_p50_ms": window.quantile(0.5),
        "confirm_p99_ms": window.quantile(0.99),
    })
}

fn outcome_json(outcomes: &OrderOutcomes) -> Value {
    json!({
        "final": outcomes.by_status,
        "ms": outcomes.times.to_json(),
        "unfinished": outcomes.unfinished,
        "unwatched": outcomes.unwatched,
        "failed": outcomes.failed,
        "samples": outcomes.samples,
    })
}

fn slow_json(slow: &SlowCall) -> Value {
    json!({
        "operation": slow.operation.name(),
        "ms": millis(slow.latency),
        "answer": slow.answer,
        "trace_id": slow.trace_id,
    })
}

impl From<LoadExit> for ExitCode {
    fn from(exit: LoadExit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests;
