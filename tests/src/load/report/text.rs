//! The report in the terminal.

use std::fmt;

use super::{LoadExit, LoadReport};
use crate::load::figures::{LoadFigures, OrderOutcomes};
use crate::open_loop::outcomes::{Outcomes, Spread, millis};
use crate::page::text::number;

impl fmt::Display for LoadReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        writeln!(formatter, "\n{}: {}", self.plan.pace, self.end)?;
        if let Some(knee) = &self.knee {
            writeln!(formatter, "\n{knee}\nat the knee")?;
        }
        write_counts(formatter, figures)?;
        write_latencies(formatter, figures)?;
        write_answers(formatter, figures)?;
        write_outcomes(formatter, &figures.order_outcomes)?;
        write_slowest(formatter, figures)?;
        self.write_verdict(formatter)
    }
}

impl LoadReport {
    fn write_verdict(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for result in &self.slo {
            writeln!(formatter, "{result}")?;
        }
        if let Some(audit) = &self.audit {
            write!(formatter, "\n{audit}")?;
        }
        if let Some(why) = self.figures.invalid() {
            writeln!(formatter, "NOT A MEASUREMENT: {why}")?;
        }
        match self.exit() {
            LoadExit::Done => write!(formatter, "PASSED"),
            LoadExit::SloBroken => write!(formatter, "FAILED: an objective is broken"),
            LoadExit::AuditRed => write!(formatter, "FAILED: the audit is red"),
            LoadExit::EndedEarly => write!(formatter, "FAILED: {}", self.end),
            LoadExit::NotAMeasurement | LoadExit::Usage => {
                write!(formatter, "FAILED: not a measurement")
            }
        }
    }
}

fn write_counts(formatter: &mut fmt::Formatter<'_>, figures: &LoadFigures) -> fmt::Result {
    let offered = figures.per_second(figures.offered);
    writeln!(
        formatter,
        "{} calls offered in {:.1} s, {}/s; dropped {}; errors {:.3}%",
        figures.offered,
        figures.length.as_secs_f64(),
        number(offered),
        figures.dropped,
        figures.error_share().unwrap_or_default() * 100.0
    )?;
    writeln!(
        formatter,
        "the tool began its calls late by p99 {:.2} ms\n",
        millis(figures.lag.quantile(0.99))
    )
}

fn write_latencies(formatter: &mut fmt::Formatter<'_>, figures: &LoadFigures) -> fmt::Result {
    writeln!(
        formatter,
        "{:<22}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "ms, accepted calls", "calls", "p50", "p90", "p99", "p99.9", "max"
    )?;
    for operation in figures.operations.keys() {
        let latencies = figures.latencies(*operation);
        write_spread(formatter, operation.name(), &latencies.corrected)?;
        write_spread(formatter, "  naive, from the send", &latencies.uncorrected)?;
    }
    write_spread(formatter, "to outcome", &figures.order_outcomes.times)
}

fn write_spread(formatter: &mut fmt::Formatter<'_>, name: &str, spread: &Spread) -> fmt::Result {
    if spread.count() == 0 {
        return Ok(());
    }
    write!(formatter, "{name:<22}{:>9}", spread.count())?;
    for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
        write!(formatter, "{:>9.1}", millis(spread.quantile(quantile)))?;
    }
    writeln!(formatter)
}

fn write_answers(formatter: &mut fmt::Formatter<'_>, figures: &LoadFigures) -> fmt::Result {
    writeln!(formatter)?;
    for (operation, outcomes) in &figures.operations {
        writeln!(
            formatter,
            "{operation:<8}{:>9} OK",
            outcomes.all_accepted().count()
        )?;
        for (name, cause, latencies) in errors(outcomes) {
            writeln!(formatter, "{:<8}{:>9} {cause}: {name}", "", latencies)?;
        }
        for sample in &outcomes.samples {
            writeln!(formatter, "{:<17} for example: {sample}", "")?;
        }
    }
    Ok(())
}

/// Each cause of an error, what it means, and its number.
pub(super) fn errors(outcomes: &Outcomes) -> Vec<(&'static str, String, u64)> {
    let refused = outcomes.refused.iter().map(|(cause, latencies)| {
        let name = if cause.is_about_the_request() {
            "declined"
        } else {
            "refused"
        };
        (name, cause.to_string(), latencies.count())
    });
    let failed = outcomes
        .failed
        .iter()
        .map(|(cause, latencies)| ("failed", cause.to_string(), latencies.count()));
    refused.chain(failed).collect()
}

fn write_outcomes(formatter: &mut fmt::Formatter<'_>, outcomes: &OrderOutcomes) -> fmt::Result {
    for (name, count) in outcome_counts(outcomes) {
        writeln!(formatter, "outcome {count:>9} {name}")?;
    }
    for sample in &outcomes.samples {
        writeln!(formatter, "{:<17} for example: {sample}", "")?;
    }
    Ok(())
}

/// What became of the watched orders; without zeros.
pub(super) fn outcome_counts(outcomes: &OrderOutcomes) -> Vec<(String, u64)> {
    let statuses = outcomes
        .by_status
        .iter()
        .map(|(status, count)| (status.clone(), *count));
    let others = [
        ("not final when the run ended", outcomes.unfinished),
        ("watch failed", outcomes.failed),
        ("not watched, because too many were", outcomes.unwatched),
    ];
    let others = others.into_iter().filter(|(_, count)| *count > 0);
    statuses
        .chain(others.map(|(name, count)| (name.to_owned(), count)))
        .collect()
}

fn write_slowest(formatter: &mut fmt::Formatter<'_>, figures: &LoadFigures) -> fmt::Result {
    if figures.slowest.is_empty() {
        return writeln!(formatter);
    }
    writeln!(formatter, "\nslowest sampled calls")?;
    for slow in &figures.slowest {
        let latency = millis(slow.latency);
        writeln!(
            formatter,
            "{latency:>9.1} ms  {:<8}trace {}  {}",
            slow.operation, slow.trace_id, slow.answer
        )?;
    }
    writeln!(formatter)
}
