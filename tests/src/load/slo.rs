//! Objectives on the command line, such as `confirm.p99<50ms,errors<0.1%,outcome.p99<5s`, and whether they hold.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, bail, ensure};
use serde_json::{Value, json};

use super::figures::LoadFigures;
use super::mix::Operation;
use super::quantity::{duration, rate, share};
use crate::open_loop::outcomes::{Spread, millis};

const METRICS: &str = "errors, accepted, or confirm, outcome, get, list, watch or cancel with .p50, .p99, .p99.9 or .max";

/// All objectives of a run; may be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Objectives {
    terms: Vec<SloTerm>,
}

/// One objective: a metric, and the bound on one side of it.
#[derive(Clone, Debug, PartialEq)]
struct SloTerm {
    text: String,
    metric: Metric,
    /// Whether the metric must be below the bound, otherwise above it.
    is_below: bool,
    /// In milliseconds, as a share, or per second.
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// A latency from the due time, in milliseconds.
    Latency(Timed, f64),
    /// The share of offered calls that failed, were refused for want of capacity, or were not sent.
    Errors,
    /// Accepted orders per second.
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timed {
    Operation(Operation),
    Outcome,
}

/// An objective with what was measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SloResult {
    pub(super) term: String,
    /// `None` without data, which breaks the objective.
    pub(super) measured: Option<f64>,
    pub(super) holds: bool,
    unit: &'static str,
    /// Why there is no value, if there is none.
    missing: String,
}

impl Objectives {
    /// Each objective with its result, in the order of the command line.
    pub(super) fn results(&self, figures: &LoadFigures) -> Vec<SloResult> {
        self.terms.iter().map(|term| term.result(figures)).collect()
    }
}

impl SloTerm {
    fn result(&self, figures: &LoadFigures) -> SloResult {
        let measured = self.metric.of(figures);
        let holds = measured.is_some_and(|value| match self.is_below {
            true => value < self.bound,
            false => value > self.bound,
        });
        SloResult {
            term: self.text.clone(),
            measured,
            holds,
            unit: self.metric.unit(),
            missing: self.metric.missing(figures),
        }
    }
}

impl Metric {
    fn of(self, figures: &LoadFigures) -> Option<f64> {
        match self {
            Self::Latency(Timed::Outcome, quantile) => figures.order_outcomes.quantile(quantile),
            Self::Latency(Timed::Operation(operation), quantile) => {
                at(&figures.latencies(operation).corrected, quantile)
            }
            Self::Errors => figures.error_share(),
            Self::Accepted => Some(figures.per_second(figures.latencies(Operation::Place).count())),
        }
    }

    /// Why there is no value, if there is none.
    fn missing(self, figures: &LoadFigures) -> String {
        let outcomes = &figures.order_outcomes;
        match self {
            Self::Latency(Timed::Outcome, _) if outcomes.watched() > 0 => format!(
                "too many orders have no outcome: {} of {} watched",
                outcomes.without_outcome(),
                outcomes.watched()
            ),
            _ => "nothing measured".to_owned(),
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Latency(..) => " ms",
            Self::Errors => "",
            Self::Accepted => "/s",
        }
    }

    fn bound(self, text: &str) -> Result<f64> {
        match self {
            Self::Latency(..) => duration(text).map(millis),
            Self::Errors => share(text),
            Self::Accepted => rate(text),
        }
    }
}

fn at(times: &Spread, quantile: f64) -> Option<f64> {
    (times.count() > 0).then(|| millis(times.quantile(quantile)))
}

impl FromStr for Objectives {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let terms = text.split(',').map(|term| term.trim().parse());
        Ok(Self {
            terms: terms.collect::<Result<_>>()?,
        })
    }
}

impl FromStr for SloTerm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let operator = text.find(['<', '>']).with_context(|| {
            format!("{text:?} is no objective; expected such as confirm.p99<50ms")
        })?;
        let (metric, bound) = text.split_at(operator);
        let metric: Metric = metric.trim().parse()?;
        Ok(Self {
            text: text.to_owned(),
            metric,
            is_below: bound.starts_with('<'),
            bound: metric
                .bound(bound[1..].trim())
                .with_context(|| format!("the bound of {text:?}"))?,
        })
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "errors" => return Ok(Self::Errors),
            "accepted" => return Ok(Self::Accepted),
            _ => {}
        }
        let unknown = || format!("there is no metric {text:?}; expected {METRICS}");
        let (what, quantile) = match is_quantile(text) {
            true => ("confirm", text),
            false => text.split_once('.').with_context(unknown)?,
        };
        let timed = match what {
            "confirm" | "place" => Timed::Operation(Operation::Place),
            "get" => Timed::Operation(Operation::Get),
            "list" => Timed::Operation(Operation::List),
            "watch" => Timed::Operation(Operation::Watch),
            "cancel" => Timed::Operation(Operation::Cancel),
            "outcome" => Timed::Outcome,
            _ => bail!(unknown()),
        };
        Ok(Self::Latency(
            timed,
            quantile_of(quantile).with_context(|| format!("the metric {text:?}"))?,
        ))
    }
}

/// Without a name before it, the confirmation is meant.
fn is_quantile(text: &str) -> bool {
    let percentile = text.strip_prefix('p');
    text == "max"
        || percentile.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn quantile_of(text: &str) -> Result<f64> {
    if text == "max" {
        return Ok(1.0);
    }
    let expected = "expected p with a percentile below 100, such as p99 or p99.9, or max";
    let percent: f64 = text
        .strip_prefix('p')
        .context(expected)?
        .parse()
        .context(expected)?;
    ensure!((0.0..100.0).contains(&percent), expected);
    Ok(percent / 100.0)
}

impl SloResult {
    pub(super) fn to_json(&self) -> Value {
        json!({ "term": self.term, "measured": self.measured, "holds": self.holds })
    }
}

impl fmt::Display for SloResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds { "holds" } else { "BROKEN" };
        let Self {
            term,
            unit,
            missing,
            ..
        } = self;
        match self.measured {
            Some(value) if unit.is_empty() => write!(
                formatter,
                "{term}: {verdict}, measured {:.3}%",
                value * 100.0
            ),
            Some(value) => write!(formatter, "{term}: {verdict}, measured {value:.1}{unit}"),
            None => write!(formatter, "{term}: {verdict}, {missing}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Status;

    use super::*;
    use crate::load::figures::tests::figures;

    fn results(terms: &str, figures: &LoadFigures) -> Vec<(String, bool)> {
        let objectives: Objectives = terms.parse().unwrap();
        let results = objectives.results(figures).into_iter();
        results.map(|result| (result.term, result.holds)).collect()
    }

    #[test]
    fn each_objective_holds_or_is_broken_by_what_was_measured() {
        // 98 orders within 10 ms, one after 80 ms, one lost.
        let mut figures = figures(98, 10);
        figures.record_place(80, Ok(()));
        figures.record_place(1, Err(Status::unavailable("broken pipe")));

        let results = results(
            "place.p50<20ms,p99<20ms,max<1s,errors<1.5%,errors<0.1%,accepted>5/s",
            &figures,
        );

        let held: Vec<_> = results.iter().map(|(_, holds)| *holds).collect();
        assert_eq!(held, [true, false, true, true, false, true], "{results:?}");
        assert_eq!(results[1].0, "p99<20ms");
    }

    #[test]
    fn an_objective_without_data_is_broken() {
        let figures = figures(10, 1);

        assert_eq!(
            results("outcome.p99<5s", &figures),
            [("outcome.p99<5s".to_owned(), false)]
        );
    }

    #[test]
    fn an_order_without_an_outcome_is_slower_than_every_limit() {
        let mut figures = figures(100, 1);
        for _ in 0..60 {
            let time = Duration::from_millis(20);
            figures.order_outcomes.times.record(time);
        }
        figures.order_outcomes.unfinished = 40;
        let objectives: Objectives = "outcome.p50<5s,outcome.p99<5s".parse().unwrap();

        let results = objectives.results(&figures);

        let said: Vec<_> = results.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "outcome.p50<5s: holds, measured 20.0 ms",
                "outcome.p99<5s: BROKEN, too many orders have no outcome: 40 of 100 watched",
            ]
        );
    }

    #[test]
    fn an_unknown_term_is_explained() {
        for (wrong, explanation) in [
            ("", "is no objective"),
            ("latency.p99<1s", "there is no metric \"latency.p99\""),
            ("foo<1s", "there is no metric \"foo\""),
            (
                "confirm.99<1s",
                "the metric \"confirm.99\": expected p with",
            ),
            ("confirm.p100<1s", "a percentile below 100"),
            (
                "confirm.p99<50",
                "the bound of \"confirm.p99<50\": \"50\" is no duration",
            ),
            ("errors<few", "\"few\" is no share"),
            ("confirm.p99=50ms", "is no objective"),
            ("errors<1%,", "is no objective"),
        ] {
            let error = wrong.parse::<Objectives>().unwrap_err();

            assert!(
                format!("{error:#}").contains(explanation),
                "{wrong}: {error:#}"
            );
        }
    }
}
