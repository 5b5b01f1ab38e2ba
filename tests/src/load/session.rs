//! A session with a target: the client, and measurements in sequence, each with its live view.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::arguments::RunArguments;
use super::baskets::Baskets;
use super::caller::Caller;
use super::figures::LoadFigures;
use super::knee;
use super::known_orders::KnownOrders;
use super::live;
use super::plan::{LoadPlan, RunEnd};
use super::report::LoadReport;
use super::run::LoadRun;
use super::target::{Target, TargetArguments};
use super::watchers::Watchers;
use crate::client::connections::Connections;
use crate::replay::journal::Journal;

/// The journal of a run that keeps none.
const NO_JOURNAL: &str = "/dev/null";

#[derive(Debug)]
pub(super) struct LoadSession {
    target: Target,
    caller: Arc<Caller>,
    outcome_timeout: Duration,
    interrupt: CancellationToken,
}

impl LoadSession {
    /// Connects to the target.
    ///
    /// # Errors
    /// When the target does not answer, or the journal cannot be created.
    pub(super) async fn open(
        target: &TargetArguments,
        journal: Option<&Path>,
        arguments: &RunArguments,
        interrupt: CancellationToken,
    ) -> Result<Self> {
        let load = &arguments.load;
        let in_flight = arguments.plan()?.in_flight;
        let target = target.connect().await?;
        let caller = Caller {
            connections: Connections::among(&target.endpoints, in_flight)?,
            token: target.token.clone(),
            deadline: load.deadline,
            journal: Journal::create(journal.unwrap_or(Path::new(NO_JOURNAL)))?,
            baskets: Baskets::open(load.orders.as_deref(), load.customer.clone())?,
            known: KnownOrders::default(),
        };
        Ok(Self {
            target,
            caller: Arc::new(caller),
            outcome_timeout: load.outcome_timeout,
            interrupt,
        })
    }

    /// Everything that the command line asks for.
    ///
    /// # Errors
    /// When the tool itself fails; trouble with the target is in the report.
    pub(super) async fn report(
        &self,
        targets: &[String],
        arguments: &RunArguments,
    ) -> Result<LoadReport> {
        let started = SystemTime::now();
        let (mut plan, objectives) = (arguments.plan()?, arguments.objectives()?);
        let (figures, end, knee) = if arguments.load.find_knee {
            println!("{}: searching for the knee", targets.join(", "));
            let found = knee::find(self, &plan, &objectives).await?;
            plan = found.plan;
            (found.figures, found.end, Some(found.knee))
        } else {
            println!("{}: {}", targets.join(", "), plan.pace);
            let (figures, end) = self.measure(plan.clone()).await?;
            (figures, end, None)
        };
        Ok(LoadReport {
            started,
            targets: targets.to_vec(),
            slo: objectives.results(&figures),
            end: self.journaled(end),
            plan,
            deadline: self.caller.deadline,
            figures,
            knee,
            audit: None,
        })
    }

    pub(super) async fn measure(&self, plan: LoadPlan) -> Result<(LoadFigures, RunEnd)> {
        let watchers = Watchers::new(
            &self.target.endpoints,
            self.target.token.clone(),
            self.caller.journal.clone(),
            self.outcome_timeout,
        )?;
        let run = LoadRun::new(plan, self.caller.clone(), watchers);
        live::beside(&run, run.measure(&self.interrupt)).await
    }

    /// The end of a run whose journal may turn out to be incomplete at its very end.
    fn journaled(&self, end: RunEnd) -> RunEnd {
        match (end, self.caller.journal.close()) {
            (RunEnd::Completed, Err(error)) => RunEnd::JournalFailed(format!("{error:#}")),
            (end, _) => end,
        }
    }
}
