//! Finds the knee: raises the rate until an objective breaks, then offers multiples of the greatest rate at which all
//! held, to see what the target does with a load that it cannot carry.

use std::fmt;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::figures::LoadFigures;
use super::mix::Operation;
use super::plan::{LoadPace, LoadPlan, RunEnd};
use super::schedule::Schedule;
use super::session::LoadSession;
use super::slo::Objectives;
use crate::open_loop::outcomes::millis;
use crate::open_loop::sustainable::{self, SearchError, Steps};

/// Doubled first, then closer: the knee is accurate to a tenth.
const STEPS: Steps<'_> = Steps {
    first: 50.0,
    factors: &[2.0, 1.25, 1.1],
};

/// Multiples of the knee that are offered beyond it.
const BEYOND: [f64; 4] = [1.25, 1.5, 2.0, 3.0];

/// The result of a search.
#[derive(Clone, Debug)]
pub(super) struct Knee {
    /// The greatest rate at which all objectives held; `None` when the first broke one, or the search ended before.
    pub(super) per_second: Option<f64>,
    /// Why the next step did not hold.
    pub(super) limit: String,
    /// The next step did not hold because of the tool: the target might sustain more.
    pub(super) is_limit_of_the_tool: bool,
    /// In the order in which they were measured.
    pub(super) steps: Vec<KneeStep>,
    /// Beyond the knee, by rising rate.
    pub(super) beyond: Vec<KneeStep>,
}

/// The figures of one rate.
#[derive(Clone, Debug)]
pub(super) struct KneeStep {
    pub(super) per_second: f64,
    pub(super) accepted_per_second: f64,
    pub(super) refused_per_second: f64,
    pub(super) failed_per_second: f64,
    /// Milliseconds from the due time of accepted orders; `None` without one.
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
    /// Why the rate is not sustained; `None` when it is.
    pub(super) strain: Option<String>,
}

/// A knee, and the plan and figures of the run at it, or of the last one.
pub(super) struct FoundKnee {
    pub(super) knee: Knee,
    pub(super) plan: LoadPlan,
    pub(super) figures: LoadFigures,
    pub(super) end: RunEnd,
}

/// A search in progress.
struct KneeSearch<'a> {
    session: &'a LoadSession,
    plan: &'a LoadPlan,
    objectives: &'a Objectives,
    steps: Vec<KneeStep>,
    best: Option<(f64, LoadFigures)>,
    last: LoadFigures,
    /// Whether all objectives held at the last step, and the tool did not keep up.
    is_limit_of_the_tool: bool,
    end: RunEnd,
}

/// Searches, and offers what is beyond the knee.
///
/// # Errors
/// When the tool itself fails; a target that sustains nothing is a result.
pub(super) async fn find(
    session: &LoadSession,
    plan: &LoadPlan,
    objectives: &Objectives,
) -> Result<FoundKnee> {
    let mut search = KneeSearch {
        session,
        plan,
        objectives,
        steps: Vec::new(),
        best: None,
        last: LoadFigures::new(plan.length),
        is_limit_of_the_tool: false,
        end: RunEnd::Completed,
    };
    let found = sustainable::find(STEPS, async |rate| search.step(rate).await).await;
    let limit = match found {
        Ok(found) => found.limit,
        Err(SearchError::NothingSustained(limit)) => limit,
        Err(SearchError::Step(early)) if search.end != RunEnd::Completed => early.to_string(),
        Err(SearchError::Step(error)) => return Err(error),
    };
    search.finish(limit).await
}

impl KneeSearch<'_> {
    /// Offers a rate; returns why it is not sustained.
    async fn step(&mut self, per_second: f64) -> Result<Option<String>> {
        let (figures, end) = self.offer(per_second).await?;
        self.end = end;
        let broken = self.broken(&figures);
        self.is_limit_of_the_tool = broken.is_none() && figures.invalid().is_some();
        let strain = broken.or_else(|| figures.invalid());
        let step = KneeStep::of(per_second, &figures, strain.clone());
        println!("{step}");
        self.steps.push(step);
        if strain.is_none() {
            self.best = Some((per_second, figures.clone()));
        }
        self.last = figures;
        match &self.end {
            RunEnd::Completed => Ok(strain),
            early => bail!("{early}"),
        }
    }

    /// Offers multiples of the knee, if one was found.
    async fn finish(mut self, limit: String) -> Result<FoundKnee> {
        let steps = std::mem::take(&mut self.steps);
        let is_limit_of_the_tool = self.is_limit_of_the_tool;
        let best = self.best.take();
        let per_second = best.as_ref().map(|(rate, _)| *rate);
        let beyond = per_second.map(|knee| BEYOND.map(|factor| knee * factor));
        for rate in beyond.into_iter().flatten() {
            // A step that ends early is the last.
            if self.end != RunEnd::Completed || self.step(rate).await.is_err() {
                break;
            }
        }
        Ok(FoundKnee {
            knee: Knee {
                per_second,
                limit,
                is_limit_of_the_tool,
                steps,
                beyond: self.steps,
            },
            plan: plan_at(self.plan, per_second.unwrap_or(STEPS.first)),
            figures: best.map_or(self.last, |(_, figures)| figures),
            end: self.end,
        })
    }

    async fn offer(&self, per_second: f64) -> Result<(LoadFigures, RunEnd)> {
        self.session.measure(plan_at(self.plan, per_second)).await
    }

    /// The first broken objective.
    fn broken(&self, figures: &LoadFigures) -> Option<String> {
        let mut results = self.objectives.results(figures).into_iter();
        let broken = results.find(|result| !result.holds);
        broken.map(|result| result.to_string())
    }
}

/// The plan at this rate.
fn plan_at(plan: &LoadPlan, per_second: f64) -> LoadPlan {
    let mut plan = plan.clone();
    if let LoadPace::Open { schedule, .. } = &mut plan.pace {
        *schedule = Schedule::constant(per_second);
    }
    plan
}

impl KneeStep {
    fn of(per_second: f64, figures: &LoadFigures, strain: Option<String>) -> Self {
        let accepted = figures.latencies(Operation::Place);
        let quantile = |quantile| {
            (accepted.count() > 0).then(|| millis(accepted.corrected.quantile(quantile)))
        };
        let sum = |count: fn(&super::figures::LoadWindow) -> u64| {
            figures.per_second(figures.windows.iter().map(count).sum())
        };
        Self {
            per_second,
            accepted_per_second: sum(|window| window.accepted),
            refused_per_second: sum(|window| window.refused),
            failed_per_second: sum(|window| window.failed + window.dropped),
            p50: quantile(0.5),
            p99: quantile(0.99),
            strain,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "per_second": self.per_second,
            "accepted_per_second": self.accepted_per_second,
            "refused_per_second": self.refused_per_second,
            "failed_per_second": self.failed_per_second,
            "p50_ms": self.p50,
            "p99_ms": self.p99,
            "strain": self.strain,
        })
    }
}

impl Knee {
    pub(super) fn to_json(&self) -> Value {
        let steps = |steps: &[KneeStep]| steps.iter().map(KneeStep::to_json).collect::<Vec<_>>();
        json!({
            "per_second": self.per_second,
            "limit": self.limit,
            "steps": steps(&self.steps),
            "beyond": steps(&self.beyond),
        })
    }

    /// All rates, rising; of a repeated step the last attempt.
    pub(super) fn curve(&self) -> Vec<&KneeStep> {
        let mut steps: Vec<_> = self.steps.iter().chain(&self.beyond).rev().collect();
        // Stable: the last attempt stays the first of its rate.
        steps.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
        steps.dedup_by(|later, kept| later.per_second == kept.per_second);
        steps
    }
}

/// One line for the terminal.
impl fmt::Display for KneeStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
        write!(
            formatter,
            "{:>7.0}/s  accepted {:>7.0}/s  refused {:>7.0}/s  failed {:>6.0}/s  p50 {:>7} ms  p99 {:>7} ms  {}",
            self.per_second,
            self.accepted_per_second,
            self.refused_per_second,
            self.failed_per_second,
            millis(self.p50),
            millis(self.p99),
            self.strain.as_deref().unwrap_or("holds")
        )
    }
}

impl fmt::Display for Knee {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per_second {
            Some(rate) => writeln!(
                formatter,
                "knee: all objectives hold up to {rate:.0} calls per second; {}",
                self.limit
            )?,
            None => writeln!(formatter, "no knee: {}", self.limit)?,
        }
        for step in self.curve() {
            writeln!(formatter, "{step}")?;
        }
        Ok(())
    }
}
