//! The figures of a run: medians over the rounds, causes, and the verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde_json::{Value, json};

use super::arguments::OverloadArguments;
use super::verdict::OverloadVerdict;
use crate::open_loop::measured::{Measured, millis};
use crate::open_loop::outcomes::Latencies;
use crate::report::write_json;

/// The result of a run.
#[derive(Clone, Debug)]
pub(super) struct OverloadReport {
    pub(super) arguments: OverloadArguments,
    /// Orders per second.
    pub(super) sustainable: f64,
    /// Why the next step was not sustained; `None` when the load was given.
    pub(super) limit: Option<String>,
    pub(super) rounds: Vec<OverloadRound>,
    /// Unpublished events at the end.
    pub(super) backlog: i64,
}

/// One measurement of each load.
#[derive(Clone, Debug)]
pub(super) struct OverloadRound {
    pub(super) unloaded: Measured,
    pub(super) sustainable: Measured,
    pub(super) overloaded: Measured,
}

/// A figure of one measurement; `None` without data.
type Figure = fn(&Measured) -> Option<f64>;

const COLUMNS: [(&str, Figure); 14] = [
    ("offered/s", |load| Some(load.per_second(load.offered))),
    ("accepted/s", |load| rate(load, &load.all_accepted())),
    ("p50 ms", |load| quantile(&load.all_accepted(), 0.5)),
    ("p99", |load| quantile(&load.all_accepted(), 0.99)),
    ("p99.9", |load| quantile(&load.all_accepted(), 0.999)),
    ("max", |load| quantile(&load.all_accepted(), 1.0)),
    ("refused/s", |load| rate(load, &load.all_refused())),
    ("p50 ms", |load| quantile(&load.all_refused(), 0.5)),
    ("p99", |load| quantile(&load.all_refused(), 0.99)),
    ("max", |load| quantile(&load.all_refused(), 1.0)),
    ("failed/s", |load| rate(load, &load.all_failed())),
    ("dropped/s", |load| Some(load.per_second(load.dropped))),
    ("lag p99", |load| Some(millis(load.lag.quantile(0.99)))),
    ("lag max", |load| Some(millis(load.lag.max()))),
];

#[expect(clippy::unnecessary_wraps, reason = "same type as the other columns")]
fn rate(load: &Measured, latencies: &Latencies) -> Option<f64> {
    Some(load.per_second(latencies.count()))
}

fn quantile(latencies: &Latencies, quantile: f64) -> Option<f64> {
    (latencies.count() > 0).then(|| millis(latencies.corrected.quantile(quantile)))
}

impl OverloadReport {
    pub(super) fn verdict(&self) -> OverloadVerdict {
        let p99_accepted: Figure = |load| quantile(&load.all_accepted(), 0.99);
        let p99_refused: Figure = |load| quantile(&load.all_refused(), 0.99);
        OverloadVerdict {
            unloaded: median(&self.unloaded(), p99_accepted),
            accepted: median(&self.overloaded(), p99_accepted),
            refused: median(&self.overloaded(), p99_refused),
        }
    }

    fn unloaded(&self) -> Vec<&Measured> {
        self.rounds.iter().map(|round| &round.unloaded).collect()
    }

    fn sustainable(&self) -> Vec<&Measured> {
        self.rounds.iter().map(|round| &round.sustainable).collect()
    }

    fn overloaded(&self) -> Vec<&Measured> {
        self.rounds.iter().map(|round| &round.overloaded).collect()
    }

    fn loads(&self) -> [(&'static str, Vec<&Measured>); 3] {
        [
            ("unloaded", self.unloaded()),
            ("sustainable", self.sustainable()),
            ("overloaded", self.overloaded()),
        ]
    }

    /// Writes the figures as JSON to a file.
    pub(super) fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        write_json(path, &self.to_json())
    }

    fn to_json(&self) -> Value {
        let rounds = self.loads().map(|(name, loads)| {
            let rounds: Vec<_> = loads.iter().map(|load| load.to_json()).collect();
            (name, rounds)
        });
        let settings = self.arguments.settings.iter();
        let settings: Vec<_> = settings
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        json!({
            "database": format!("{:?}", self.arguments.database).to_lowercase(),
            "settings": settings,
            "sustainable_per_second": self.sustainable,
            "limit": self.limit,
            "rounds": BTreeMap::from(rounds),
            "outbox_rows": self.backlog,
            "verdict": self.verdict().to_json(),
        })
    }
}

/// The median over the rounds that have the figure.
fn median(loads: &[&Measured], figure: Figure) -> Option<f64> {
    let mut figures: Vec<f64> = loads.iter().filter_map(|load| figure(load)).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

impl fmt::Display for OverloadReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "sustainable: {:.0} orders per second",
            self.sustainable
        )?;
        if let Some(limit) = &self.limit {
            writeln!(formatter, "  {limit}")?;
        }
        writeln!(
            formatter,
            "unpublished events at the end: {}\n\nmedians over {} rounds",
            self.backlog,
            self.rounds.len()
        )?;
        self.write_table(formatter)?;
        for (name, loads) in self.loads() {
            write_causes(formatter, name, &loads)?;
        }
        write!(formatter, "\n{}", self.verdict())
    }
}

impl OverloadReport {
    fn write_table(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:<12}", "")?;
        for (name, _) in COLUMNS {
            write!(formatter, " {name:>10}")?;
        }
        for (name, loads) in self.loads() {
            write!(formatter, "\n{name:<12}")?;
            for (_, figure) in COLUMNS {
                match median(&loads, figure) {
                    Some(figure) if figure >= 1_000.0 => write!(formatter, " {figure:>10.0}")?,
                    Some(figure) => write!(formatter, " {figure:>10.2}")?,
                    None => write!(formatter, " {:>10}", "-")?,
                }
            }
        }
        writeln!(formatter)
    }
}

/// All outcomes except accepted orders, with examples, and a warning for rounds in which the generator was late.
fn write_causes(
    formatter: &mut fmt::Formatter<'_>,
    name: &str,
    loads: &[&Measured],
) -> fmt::Result {
    for (cause, count) in causes(loads) {
        writeln!(formatter, "{name}: {count} {cause}")?;
    }
    let samples: BTreeSet<_> = loads
        .iter()
        .flat_map(|load| &load.outcomes.samples)
        .collect();
    for sample in samples {
        writeln!(formatter, "{name}: for example: {sample}")?;
    }
    let late = loads.iter().filter(|load| !load.generator_kept_up());
    match late.count() {
        0 => Ok(()),
        late => writeln!(
            formatter,
            "{name}: the generator did not keep up in {late} of {} rounds; their latencies are also its own",
            loads.len()
        ),
    }
}

/// Summed over the rounds.
fn causes(loads: &[&Measured]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for load in loads {
        for (what, kinds) in [
            ("refused", &load.outcomes.refused),
            ("failed", &load.outcomes.failed),
        ] {
            for (cause, latencies) in kinds {
                *counts.entry(format!("{what}: {cause}")).or_default() += latencies.count();
            }
        }
    }
    counts
}
