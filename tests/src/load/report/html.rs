//! The report as a page.

mod knee;

use super::LoadReport;
use super::text::{errors, outcome_counts};
use crate::load::figures::{LoadFigures, LoadWindow};
use crate::load::mix::Operation;
use crate::load::report::LoadExit;
use crate::open_loop::outcomes::{Spread, millis};
use crate::page::Page;
use crate::page::bars::BarPlot;
use crate::page::plot::LinePlot;
use crate::page::scale::Axis;
use crate::page::table::Table;
use crate::page::text::number;

/// Points of a percentile curve per nine.
const POINTS: u32 = 8;

pub(super) fn page(report: &LoadReport) -> Page {
    let figures = &report.figures;
    let mut page = Page::new("Load test of order-service");
    page.paragraph(&format!(
        "{}; {}; begun {}",
        report.targets.join(", "),
        report.plan.pace,
        report.started_at()
    ));
    verdict(&mut page, report);
    if let Some(knee) = &report.knee {
        knee::add(&mut page, knee);
        page.heading("The run at the knee");
    }
    page.table(&summary(figures));
    page.heading("Latency and rate");
    page.plots([
        percentiles(figures),
        latency_over_time(figures),
        rate_over_time(figures),
    ]);
    page.paragraph(
        "The latency of a call counts from the time when it was due, so a stall of the target counts for every call that had to \
         wait for it. The naive latency counts from the actual send, as most tools do, and hides that wait.",
    );
    page.heading("Answers");
    page.table(&answers(figures));
    outcomes(&mut page, figures);
    slowest(&mut page, figures);
    page
}

fn verdict(page: &mut Page, report: &LoadReport) {
    let is_good = report.exit() == LoadExit::Done;
    page.verdict(
        is_good,
        &format!(
            "{} Run {}.",
            if is_good { "Passed." } else { "Failed." },
            report.end
        ),
    );
    if let Some(why) = report.figures.invalid() {
        page.verdict(false, &format!("Not a measurement: {why}."));
    }
    for result in &report.slo {
        page.verdict(result.holds, &result.to_string());
    }
    if let Some(audit) = &report.audit {
        let text = match audit.is_ok() {
            true => "The audit is green: no order was lost, none was processed twice.".to_owned(),
            false => format!("The audit is red: {} violations.", audit.violations().len()),
        };
        page.verdict(audit.is_ok(), &text);
    }
}

fn summary(figures: &LoadFigures) -> Table {
    let mut table = Table::new([
        "ms, accepted calls",
        "calls",
        "calls/s",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
    ]);
    let mut add = |name: &str, spread: &Spread| {
        if spread.count() > 0 {
            let rate = number(figures.per_second(spread.count()));
            let times = [0.5, 0.9, 0.99, 0.999, 1.0]
                .map(|quantile| number(millis(spread.quantile(quantile))));
            let cells = [name.to_owned(), spread.count().to_string(), rate];
            table.row(cells.into_iter().chain(times));
        }
    };
    for operation in figures.operations.keys() {
        let latencies = figures.latencies(*operation);
        add(operation.name(), &latencies.corrected);
        add(&format!("{operation}, naive"), &latencies.uncorrected);
    }
    add("to outcome", &figures.order_outcomes.times);
    add("lateness of the tool", &figures.lag);
    table
}

fn percentiles(figures: &LoadFigures) -> LinePlot {
    let confirm = figures.latencies(Operation::Place);
    let x = Axis::percentile("share of the confirmations");
    LinePlot::new("Confirmation latency by percentile", x, Axis::log("ms"))
        .line("from the due time", curve(&confirm.corrected))
        .line("naive, from the send", curve(&confirm.uncorrected))
}

/// As far into the tail as there are values.
fn curve(spread: &Spread) -> Vec<(f64, f64)> {
    let count = spread.count() as f64;
    let shares = (0..).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / f64::from(POINTS)));
    let shares = shares.take_while(|share| count > 0.0 && 1.0 - share >= 1.0 / count);
    shares
        .map(|share| (share, millis(spread.quantile(share))))
        .collect()
}

fn latency_over_time(figures: &LoadFigures) -> LinePlot {
    let line = |quantile| {
        over_time(figures, move |window| {
            window.quantile(quantile).unwrap_or(f64::NAN)
        })
    };
    LinePlot::new(
        "Confirmation latency over time",
        Axis::linear("s"),
        Axis::log("ms"),
    )
    .line("p50", line(0.5))
    .line("p99", line(0.99))
    .line("max", line(1.0))
}

fn rate_over_time(figures: &LoadFigures) -> LinePlot {
    let window = figures.window_length.as_secs_f64();
    let line =
        |count: fn(&LoadWindow) -> u64| over_time(figures, move |of| count(of) as f64 / window);
    LinePlot::new(
        "Calls per second",
        Axis::linear("s"),
        Axis::linear("calls/s"),
    )
    .line("offered", line(|window| window.offered))
    .line("accepted", line(|window| window.accepted))
    .line("refused", line(|window| window.refused))
    .line(
        "failed or dropped",
        line(|window| window.failed + window.dropped),
    )
}

fn over_time(figures: &LoadFigures, value: impl Fn(&LoadWindow) -> f64) -> Vec<(f64, f64)> {
    let length = figures.window_length.as_secs_f64();
    let windows = figures.windows.iter().enumerate();
    windows
        .map(|(number, window)| (number as f64 * length, value(window)))
        .collect()
}

fn answers(figures: &LoadFigures) -> Table {
    let mut table = Table::new(["operation", "answer", "calls", "means"]).with_words("for example");
    for (operation, outcomes) in &figures.operations {
        let name = operation.name();
        table.row([
            name,
            "OK",
            &outcomes.all_accepted().count().to_string(),
            "accepted",
            "",
        ]);
        for (means, cause, count) in errors(outcomes) {
            // A sample begins with its code and reason.
            let sample = outcomes
                .samples
                .iter()
                .find(|sample| sample.starts_with(&cause));
            let sample = sample.map_or("", String::as_str);
            table.row([name, &cause, &count.to_string(), means, sample]);
        }
    }
    table
}

fn outcomes(page: &mut Page, figures: &LoadFigures) {
    let outcomes = &figures.order_outcomes;
    let counts = outcome_counts(outcomes);
    if counts.is_empty() {
        return;
    }
    page.heading("Outcomes of the watched orders");
    let mut bars = BarPlot::new("Time from the call to the outcome", " ms");
    for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
        bars = bars.bar(name, millis(outcomes.times.quantile(quantile)));
    }
    page.plots([bars]);
    let mut table = Table::new(["outcome", "orders"]);
    for (name, count) in counts {
        table.row([name, count.to_string()]);
    }
    page.table(&table);
}

fn slowest(page: &mut Page, figures: &LoadFigures) {
    if figures.slowest.is_empty() {
        return;
    }
    page.heading("Slowest sampled calls");
    let mut table = Table::new(["ms", "operation", "answer", "trace id"]);
    for slow in &figures.slowest {
        let latency = number(millis(slow.latency));
        table.row([
            &latency,
            slow.operation.name(),
            &slow.answer,
            &slow.trace_id,
        ]);
    }
    page.table(&table);
}
