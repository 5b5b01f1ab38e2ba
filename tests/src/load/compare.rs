//! `orders-load compare A.json B.json`: the differences between two runs, and which of them are beyond noise.
//!
//! Each figure is compared by its values per window of both runs. The interval is that of the relative difference of their
//! means, by a bootstrap: windows are drawn with replacement, in blocks of neighbours, because a slow second is often
//! followed by another. A difference is beyond noise when the interval does not contain zero.
//!
//! The windows of a longer run may be longer. Counts are compared per second; percentiles only between windows of the same
//! length, because a rare slow call is in more of the longer ones.

mod bootstrap;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value;

use self::bootstrap::{Interval, relative_difference};
use super::report::SCHEMA;
use crate::page::text::number;

/// With fewer windows an interval says nothing.
const MIN_WINDOWS: usize = 5;

/// Compare two runs by their JSON reports.
#[derive(Clone, Debug, Args)]
pub(super) struct CompareArguments {
    /// Report of the first run, the base.
    #[arg(value_name = "A.json")]
    before: PathBuf,

    /// Report of the second run.
    #[arg(value_name = "B.json")]
    after: PathBuf,
}

/// The name of a figure, and its value in a window; `None` without data.
type WindowFigure = (&'static str, fn(&Value) -> Option<f64>);

/// Compared between windows of the same length.
const PERCENTILES: [WindowFigure; 2] = [
    ("confirm p50 ms", |window| window["confirm_p50_ms"].as_f64()),
    ("confirm p99 ms", |window| window["confirm_p99_ms"].as_f64()),
];

/// Compared per second.
const COUNTS: [WindowFigure; 3] = [
    ("accepted/s", |window| window["accepted"].as_f64()),
    ("refused/s", |window| window["refused"].as_f64()),
    ("failed/s", |window| window["failed"].as_f64()),
];

/// The part of its last window that a run may not have measured: it ends with the last answer, not with the window.
const MAY_LACK: f64 = 0.1;

/// What makes two runs comparable.
const SAME_LOAD: [&str; 6] = [
    "pace",
    "mix",
    "in_flight",
    "queue",
    "deadline_ms",
    "watch_share",
];

/// The windows of a report, without a last one that the run ended in.
#[derive(Debug)]
struct WholeWindows<'a> {
    /// Of each, in seconds.
    length: f64,
    windows: &'a [Value],
}

/// One figure of both runs: means over the windows.
#[derive(Debug)]
struct Compared {
    name: &'static str,
    before: f64,
    after: f64,
    /// Of the relative difference; `None` when both are zero or the first is.
    interval: Option<Interval>,
}

/// Prints the comparison.
///
/// # Errors
/// When a file is no report, or has too few windows.
pub(super) fn run(arguments: &CompareArguments) -> Result<()> {
    let before = read(&arguments.before)?;
    let after = read(&arguments.after)?;
    for difference in load_differences(&before, &after) {
        println!("not the same load: {difference}");
    }
    if let Some(difference) = window_difference(&before, &after) {
        println!("{difference}");
    }
    println!(
        "{:<18}{:>12}{:>12}{:>10}   interval (95 %)",
        "mean of windows", "A", "B", "B to A"
    );
    for compared in compare(&before, &after)? {
        println!("{compared}");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let report: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    ensure!(
        report["schema"] == SCHEMA,
        "{} is no report of orders-load ({SCHEMA})",
        path.display()
    );
    Ok(report)
}

fn load_differences(before: &Value, after: &Value) -> Vec<String> {
    let differing = SAME_LOAD
        .into_iter()
        .filter(|name| before["load"][name] != after["load"][name]);
    differing
        .map(|name| {
            format!(
                "{name}: {} and {}",
                before["load"][name], after["load"][name]
            )
        })
        .collect()
}

/// Why percentiles are not compared, if they are not.
fn window_difference(before: &Value, after: &Value) -> Option<String> {
    let [before, after] = [before, after].map(|report| report["window_s"].as_f64());
    let seconds = |length: Option<f64>| length.map_or("-".to_owned(), number);
    (before != after).then(|| {
        format!(
            "windows of {} s and of {} s: percentiles are not compared",
            seconds(before),
            seconds(after)
        )
    })
}

fn compare(before: &Value, after: &Value) -> Result<Vec<Compared>> {
    let have_same_length = window_difference(before, after).is_none();
    let (before, after) = (WholeWindows::of(before)?, WholeWindows::of(after)?);
    let percentiles = PERCENTILES
        .into_iter()
        .filter(|_| have_same_length)
        .map(|(name, figure)| compared(name, &before.values(figure), &after.values(figure)));
    let counts = COUNTS
        .into_iter()
        .map(|(name, count)| compared(name, &before.rates(count), &after.rates(count)));
    percentiles.chain(counts).collect()
}

fn compared(name: &'static str, before: &[f64], after: &[f64]) -> Result<Compared> {
    let fewest = before.len().min(after.len());
    ensure!(
        fewest >= MIN_WINDOWS,
        "{name}: a run has only {fewest} windows with data; at least {MIN_WINDOWS} are needed"
    );
    Ok(Compared {
        name,
        before: mean(before),
        after: mean(after),
        interval: relative_difference(before, after),
    })
}

impl<'a> WholeWindows<'a> {
    fn of(report: &'a Value) -> Result<Self> {
        let seconds = |field: &str| {
            let seconds = report[field].as_f64().filter(|seconds| *seconds >= 0.0);
            seconds.with_context(|| format!("a report has no {field}"))
        };
        let (length, measured) = (seconds("window_s")?, seconds("measured_s")?);
        ensure!(length > 0.0, "a report has windows without a length");
        let windows = report["windows"].as_array().map(Vec::as_slice);
        let windows = windows.unwrap_or_default();
        let whole = (measured / length + MAY_LACK) as usize;
        Ok(Self {
            length,
            windows: &windows[..whole.min(windows.len())],
        })
    }

    fn values(&self, figure: fn(&Value) -> Option<f64>) -> Vec<f64> {
        self.windows.iter().filter_map(figure).collect()
    }

    fn rates(&self, count: fn(&Value) -> Option<f64>) -> Vec<f64> {
        let counts = self.values(count).into_iter();
        counts.map(|count| count / self.length).collect()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl fmt::Display for Compared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            before,
            after,
            ..
        } = self;
        write!(
            formatter,
            "{name:<18}{:>12}{:>12}",
            number(*before),
            number(*after)
        )?;
        let Some(interval) = self.interval else {
            let same = if before == after {
                "the same"
            } else {
                "no base to compare with"
            };
            return write!(formatter, "{:>10}   {same}", "-");
        };
        let percent = |share: f64| format!("{:+.1}%", share * 100.0);
        let verdict = if interval.excludes_zero() {
            "BEYOND NOISE"
        } else {
            "within noise"
        };
        let change = percent(after / before - 1.0);
        let (low, high) = (percent(interval.low), percent(interval.high));
        write!(formatter, "{change:>10}   {low} to {high}: {verdict}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Thirty windows of a second whose p99 varies by a tenth around this value.
    fn report(p99: f64) -> Value {
        let windows: Vec<_> = (0..30)
            .map(|second| {
                let noise = 1.0 + 0.1 * f64::from(second * 7 % 11 - 5) / 5.0;
                json!({ "confirm_p50_ms": 3.0, "confirm_p99_ms": p99 * noise, "accepted": 100, "refused": 0, "failed": 0 })
            })
            .collect();
        json!({
            "schema": SCHEMA,
            "load": { "pace": "open loop, constant:100/s" },
            "measured_s": 29.995,
            "window_s": 1.0,
            "windows": windows,
        })
    }

    fn lines(before: &Value, after: &Value) -> Vec<String> {
        let compared = compare(before, after).unwrap();
        compared.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_difference_is_beyond_noise_only_when_it_exceeds_the_variation_of_the_windows() {
        let slower = lines(&report(20.0), &report(25.0));
        let same = lines(&report(20.0), &report(20.2));

        assert!(
            slower[1].contains("+25.0%") && slower[1].ends_with("BEYOND NOISE"),
            "{}",
            slower[1]
        );
        assert!(same[1].ends_with("within noise"), "{}", same[1]);
        assert!(slower[3].ends_with("the same"), "{}", slower[3]);
    }

    #[test]
    fn another_load_is_named() {
        let mut other = report(20.0);
        other["load"]["pace"] = json!("open loop, constant:200/s");

        let differences = load_differences(&report(20.0), &other);

        assert_eq!(differences.len(), 1);
        assert!(differences[0].starts_with("pace: "), "{differences:?}");
    }

    #[test]
    fn windows_of_another_length_are_compared_by_counts_per_second_only() {
        let mut longer = report(40.0);
        longer["window_s"] = json!(2.0);
        longer["measured_s"] = json!(60.0);
        for window in longer["windows"].as_array_mut().unwrap() {
            window["accepted"] = json!(200);
        }

        let lines = lines(&report(20.0), &longer);
        let difference = window_difference(&report(20.0), &longer).unwrap();

        assert_eq!(lines.len(), COUNTS.len());
        assert!(
            lines[0].starts_with("accepted/s") && lines[0].ends_with("within noise"),
            "{}",
            lines[0]
        );
        assert!(
            difference.starts_with("windows of 1 s and of 2 s"),
            "{difference}"
        );
    }

    #[test]
    fn a_last_window_in_which_the_run_ended_is_left_out() {
        let mut counted = report(20.0);
        counted["measured_s"] = json!(29.4);
        counted["windows"][29]["accepted"] = json!(40);

        let compared = compare(&report(20.0), &counted).unwrap();

        assert_eq!(compared[2].name, "accepted/s");
        assert_eq!((compared[2].before, compared[2].after), (100.0, 100.0));
    }

    #[test]
    fn a_short_run_is_not_compared() {
        let mut short = report(20.0);
        short["windows"] = json!([]);

        let error = compare(&report(20.0), &short).unwrap_err();

        assert!(error.to_string().contains("only 0 windows"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_report_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{}").unwrap();

        let error = read(file.path()).unwrap_err();

        assert!(
            error.to_string().contains("is no report of orders-load"),
            "{error}"
        );
    }
}
