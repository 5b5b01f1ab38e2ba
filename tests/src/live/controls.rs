//! Stops, freezes, resumes, kills and starts the processes of the stack, one operation per process at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::chapters::Chapter;
use super::front::Refusal;
use super::story::Story;
use super::tasks::Tasks;
use super::ways::Companion;
use crate::stack::{Process, ProcessPhase, Service, Stack};

/// Pause between two looks at the readiness of the processes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A process that does not answer by then is not ready, such as a frozen one.
const READY_WITHIN: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    Stop,
    Start,
    Kill,
    Freeze,
    Resume,
}

/// A process as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ProcessRow {
    name: String,
    /// `running`, `frozen`, `down`, `restarting` or `given up`.
    pub(super) state: &'static str,
    ready: bool,
    restarts: u32,
    /// The operation in progress.
    busy: Option<Action>,
    #[serde(skip)]
    pub(super) service: Service,
}

/// The controls; clones are the same ones.
#[derive(Clone, Debug)]
pub(super) struct Controls {
    stack: Arc<Stack>,
    companion: Companion,
    story: Story,
    tasks: Tasks,
    state: Arc<Mutex<ControlsState>>,
}

#[derive(Debug, Default)]
struct ControlsState {
    frozen: BTreeSet<Process>,
    busy: BTreeMap<Process, Action>,
    ready: BTreeSet<Process>,
}

impl Controls {
    pub(super) fn start(
        stack: Arc<Stack>,
        companion: Companion,
        story: Story,
        tasks: &Tasks,
    ) -> Self {
        let controls = Self {
            stack,
            companion,
            story,
            tasks: tasks.clone(),
            state: Arc::default(),
        };
        let looks = controls.clone();
        tasks.spawn(async move { looks.watch_readiness().await });
        controls
    }

    /// Complete after every change, so a poisoned lock is harmless.
    fn state(&self) -> MutexGuard<'_, ControlsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every process, in the order of an order's way.
    pub(super) fn rows(&self) -> Vec<ProcessRow> {
        let state = self.state();
        let services = [
            Service::Orders,
            Service::Broker,
            Service::Processing,
            Service::Database,
        ];
        let processes = services
            .map(|service| self.stack.processes(service))
            .concat();
        let rows = processes.into_iter().map(|process| {
            let now = self.stack.state(process);
            ProcessRow {
                name: process.to_string(),
                state: match now.phase {
                    ProcessPhase::Running if state.frozen.contains(&process) => "frozen",
                    ProcessPhase::Running => "running",
                    ProcessPhase::Down => "down",
                    ProcessPhase::Restarting => "restarting",
                    ProcessPhase::GivenUp => "given up",
                },
                ready: now.phase == ProcessPhase::Running && state.ready.contains(&process),
                restarts: now.restarts,
                busy: state.busy.get(&process).copied(),
                service: process.service,
            }
        });
        rows.collect()
    }

    /// Begins an operation, which goes on after the answer: a stop waits for work in progress.
    pub(super) fn begin(&self, name: &str, action: Action) -> Result<(), Refusal> {
        let mut processes = self.stack.all_processes();
        let process = processes.find(|process| process.to_string() == name);
        let process = process.ok_or_else(|| Refusal::not_found("there is no such process"))?;
        {
            let mut state = self.state();
            if let Some(busy) = state.busy.get(&process) {
                let message = format!("{process}: {busy:?} is still in progress");
                return Err(Refusal::conflict(message));
            }
            state.busy.insert(process, action);
        }
        let controls = self.clone();
        self.tasks.spawn(async move {
            let companion = async {
                if process.service == Service::Processing {
                    controls.companion.apply(action).await;
                }
            };
            tokio::join!(controls.operate(process, action), companion);
            controls.state().busy.remove(&process);
        });
        Ok(())
    }

    async fn operate(&self, process: Process, action: Action) {
        self.story
            .tell(chapter(process.service, action), announce(process, action));
        let begun = Instant::now();
        let result = match action {
            Action::Stop => self.stop(process).await,
            Action::Start => self.stack.start_process(process).await.map(|()| true),
            Action::Kill => {
                self.state().frozen.remove(&process);
                self.stack.kill(process).await.map(|()| false)
            }
            Action::Freeze => self.freeze(process).await.map(|()| false),
            Action::Resume => self.resume(process).await.map(|()| false),
        };
        let seconds = begun.elapsed().as_secs_f64();
        match result {
            Ok(false) => {}
            Ok(true) => {
                let done = if action == Action::Stop {
                    "stopped"
                } else {
                    "is ready"
                };
                let text = format!("{process} {done} after {seconds:.1} s.");
                self.story.tell(chapter(process.service, action), text);
            }
            Err(error) => self.story.tell(
                Chapter::Crashes,
                format!("{process} could not do that: {error}"),
            ),
        }
    }

    async fn stop(&self, process: Process) -> Result<bool, crate::stack::StackError> {
        // A frozen process does not see the signal.
        self.resume(process).await?;
        self.stack.stop_process(process).await;
        Ok(true)
    }

    async fn freeze(&self, process: Process) -> Result<(), crate::stack::StackError> {
        self.stack.pause(process).await?;
        self.state().frozen.insert(process);
        Ok(())
    }

    async fn resume(&self, process: Process) -> Result<(), crate::stack::StackError> {
        self.stack.resume(process).await?;
        self.state().frozen.remove(&process);
        Ok(())
    }

    /// Resumes all frozen processes, so that they can stop in order.
    pub(super) async fn resume_all(&self) {
        let frozen = self.state().frozen.clone();
        for process in frozen {
            // Not an error that matters at the end: it is part of the stack.
            let _ = self.resume(process).await;
        }
    }

    async fn watch_readiness(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            for process in self.stack.all_processes() {
                let ready = self.is_ready(process).await;
                let mut state = self.state();
                if ready {
                    state.ready.insert(process);
                } else {
                    state.ready.remove(&process);
                }
            }
        }
    }

    /// Of a server only that it runs and is not frozen: a look at it would need a client of its own each second.
    async fn is_ready(&self, process: Process) -> bool {
        let runs = self.stack.state(process).phase == ProcessPhase::Running
            && !self.state().frozen.contains(&process);
        match process.service {
            Service::Orders | Service::Processing if runs => {
                let ready = self.stack.is_ready(process);
                timeout(READY_WITHIN, ready).await.unwrap_or(false)
            }
            _ => runs,
        }
    }
}

fn announce(process: Process, action: Action) -> String {
    match action {
        Action::Stop => {
            format!("{process} is asked to stop: it finishes its work in progress first.")
        }
        Action::Start => format!("{process} is started on the same data."),
        Action::Kill => format!(
            "{process} was killed (kill -9); the stack starts it again, and it repeats what was not committed."
        ),
        Action::Freeze => format!(
            "{process} is frozen (SIGSTOP): its connections stay open, and it answers nothing."
        ),
        Action::Resume => format!("{process} is resumed (SIGCONT)."),
    }
}

fn chapter(service: Service, action: Action) -> Chapter {
    match (service, action) {
        (_, Action::Kill) => Chapter::Crashes,
        (Service::Orders | Service::Database, _) => Chapter::Deadlines,
        (Service::Processing, Action::Freeze) => Chapter::Fallback,
        (Service::Processing, _) => Chapter::Queue,
        (Service::Broker, _) => Chapter::Outbox,
    }
}
