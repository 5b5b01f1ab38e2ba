//! Letting a process die, or a step of it fail, at a place that the code names.
//!
//! The plan holds for one start of one process: when the process dies of it, the stack starts it again without, as an
//! orchestrator would. Only programs that are built with the feature `crash-points` follow plans.

use std::fmt;

use anyhow::{Context as _, Result, ensure};

use super::{Process, System, WAIT_LIMIT, eventually};

/// What to do, where, and on which occasion: `NAME:abort@N` or `NAME:fail@N`.
#[derive(Debug)]
pub struct CrashPlan {
    process: Process,
    plan: String,
    /// How much the process had logged before.
    logged_before: usize,
    restarts_before: u32,
}

impl fmt::Display for CrashPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {}", self.plan, self.process)
    }
}

impl CrashPlan {
    /// What a process writes when it has come to its place.
    fn notice(&self) -> String {
        let name = self.plan.split(':').next().unwrap_or_default();
        format!("crash point {name} is reached\n")
    }
}

impl System {
    /// Stops a process cleanly and starts it with a plan. It may die of it before it is ready.
    ///
    /// # Errors
    /// When it does not stop cleanly, or cannot be started.
    pub async fn restart_with_plan(&self, process: Process, plan: &str) -> Result<CrashPlan> {
        if let Some(ending) = self.stack.stop_process(process).await {
            ensure!(
                ending.is_clean(),
                "{process} did not stop cleanly: {ending}"
            );
        }
        let armed = CrashPlan {
            process,
            plan: plan.to_owned(),
            logged_before: self.log_of(process)?.len(),
            restarts_before: self.stack.state(process).restarts,
        };
        let environment = vec![("CRASH_POINT".to_owned(), plan.to_owned())];
        self.stack.launch_once_with(process, environment).await?;
        Ok(armed)
    }

    /// Waits until the process has come to the place of its plan.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until_reached(&self, plan: &CrashPlan) -> Result<()> {
        let what = format!("{plan} is reached");
        eventually(&what, async || Ok(self.is_reached(plan)?.then_some(()))).await
    }

    /// Whether the process has come to the place of its plan.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn is_reached(&self, plan: &CrashPlan) -> Result<bool> {
        let log = self.log_of(plan.process)?;
        let said = log.get(plan.logged_before..).unwrap_or_default();
        Ok(said.contains(&plan.notice()))
    }

    /// Waits until a process that died of its plan runs again, or one that did not goes on, and is ready.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn until_back(&self, plan: &CrashPlan, died: bool) -> Result<()> {
        if died {
            eventually(&format!("the death of {plan} is noticed"), async || {
                let restarts = self.stack.state(plan.process).restarts;
                Ok((restarts > plan.restarts_before).then_some(()))
            })
            .await?;
        }
        tokio::time::timeout(WAIT_LIMIT, self.stack.until_ready(plan.process))
            .await
            .with_context(|| format!("{} is not ready again", plan.process))
    }
}
