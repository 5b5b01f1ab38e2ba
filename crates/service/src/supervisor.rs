//! The supervisor of a service: named tasks, and a shutdown in stages, each with a time limit.
//!
//! ```text
//!  stage    tasks                          stops when                        time
//!  Intake   server, consumer, watches      the shutdown starts               grace - the other times
//!  Commit   group commit writers           the last submitter is dropped     0.5 s
//!  Relay    publishes committed events     all writers have ended            5.5 s
//!  Close    the database                   the relay has ended               0.5 s
//! ```
//!
//! A task that ends before the shutdown stops the service. A stage has at least its time, and what the stages before it
//! did not use: a commit on a slow disk may take a second when the intake ended early. A stage that exceeds it is left
//! (its tasks are aborted; writers and the database are no longer waited for) and the next one starts, so that a hanging
//! client does not use up the time in which the relay waits for acknowledgements.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::command_line::ExitError;
use crate::crash_points::{CrashPoint, reach};

/// The consumer drains its partitions for 8 s and leaves its group within 5 s; in-flight calls have 5 s.
const MIN_INTAKE: Duration = Duration::from_millis(13_250);

/// Submitted commands need at most one more batch.
const COMMIT: Duration = Duration::from_millis(500);

/// The relay waits up to 5 s for its last acknowledgements, then releases its leases.
const RELAY: Duration = Duration::from_millis(5_500);

/// Closing a SQLite file checkpoints its write-ahead log.
const CLOSE: Duration = Duration::from_millis(500);

/// Reserved from the grace period for the stages after Intake.
const AFTER_INTAKE: Duration = COMMIT.saturating_add(RELAY).saturating_add(CLOSE);

/// The minimum time of a shutdown.
pub const MIN_STOP: Duration = MIN_INTAKE.saturating_add(AFTER_INTAKE);

/// The shutdown stage of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Stops first: accepts new work.
    Intake,
    /// Stops after all commits: publishes their events.
    Relay,
}

/// The result of a task; an error stops the service.
pub trait TaskResult {
    fn into_result(self) -> Result<(), ExitError>;
}

impl TaskResult for () {
    fn into_result(self) -> Result<(), ExitError> {
        Ok(())
    }
}

impl<E: Into<ExitError>> TaskResult for Result<(), E> {
    fn into_result(self) -> Result<(), ExitError> {
        self.map_err(Into::into)
    }
}

#[derive(Debug, Default)]
pub struct Supervisor {
    intake: Tasks,
    writers: TaskTracker,
    relay: Tasks,
}

impl Supervisor {
    /// Tracks the group commit writers. A writer ends when the last handle that can submit to it is dropped.
    pub fn writers(&self) -> &TaskTracker {
        &self.writers
    }

    /// Starts a task. It must end when its token is cancelled, within the limit of its stage.
    pub fn spawn<F>(
        &mut self,
        stage: Stage,
        name: &'static str,
        run: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output: TaskResult> + Send + 'static,
    {
        let tasks = match stage {
            Stage::Intake => &mut self.intake,
            Stage::Relay => &mut self.relay,
        };
        let task = run(tasks.stop.clone());
        let handle = tasks.running.spawn(async { task.await.into_result() });
        tasks.names.insert(handle.id(), name);
    }

    /// Starts a task that calls `run` once `prepared` is true.
    pub fn spawn_when<F>(
        &mut self,
        prepared: &watch::Receiver<bool>,
        stage: Stage,
        name: &'static str,
        run: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output: TaskResult> + Send + 'static,
    {
        let mut prepared = prepared.clone();
        self.spawn(stage, name, async move |stop: CancellationToken| {
            let preparation = prepared.wait_for(|prepared| *prepared);
            if matches!(stop.run_until_cancelled(preparation).await, Some(Ok(_))) {
                drop(prepared);
                run(stop).await.into_result()?;
            }
            Ok::<_, ExitError>(())
        });
    }

    /// Runs until `shutdown`, until `startup` fails or until a task ends; then stops all stages in order. `not_ready` runs
    /// before them, so that no new calls are routed here, and `close` after them.
    ///
    /// # Errors
    /// The first failure of the startup, of a task or of the shutdown.
    pub async fn run(
        mut self,
        startup: impl Future<Output = Result<(), ExitError>>,
        shutdown: CancellationToken,
        grace: Duration,
        not_ready: impl Future<Output = ()>,
        close: impl Future<Output = ()>,
    ) -> Result<(), ExitError> {
        // Biased: a requested shutdown is not a failure, even if a task ends at the same moment. A successful startup
        // disables its branch. Boxed: the future can contain a whole migration.
        let cause = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            failure = self.failure() => Err(failure),
            Err(failure) = Box::pin(startup) => Err(failure),
        };
        not_ready.await;
        let stopped = self.stop(grace, close).await;
        tracing::info!(clean = cause.is_ok() && stopped.is_ok(), "stopped");
        cause.and(stopped)
    }

    async fn failure(&mut self) -> ExitError {
        tokio::select! {
            failure = self.intake.failure() => failure,
            failure = self.relay.failure() => failure,
        }
    }

    async fn stop(
        mut self,
        grace: Duration,
        close: impl Future<Output = ()>,
    ) -> Result<(), ExitError> {
        let begun = reach(CrashPoint::InShutdown).map_err(ExitError::failed);
        let mut deadline = Instant::now() + grace.saturating_sub(AFTER_INTAKE);
        let intake = self.intake.stop(deadline).await;
        deadline += COMMIT;
        self.writers.close();
        let writers = by(deadline, "writers", self.writers.wait()).await;
        let at_half = reach(CrashPoint::AfterIntake).map_err(ExitError::failed);
        deadline += RELAY;
        let relay = self.relay.stop(deadline).await;
        deadline += CLOSE;
        let closed = by(deadline, "database", close).await;
        begun
            .and(intake)
            .and(writers)
            .and(at_half)
            .and(relay)
            .and(closed)
    }
}

/// The tasks of one stage.
#[derive(Debug, Default)]
struct Tasks {
    running: JoinSet<Result<(), ExitError>>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

impl Tasks {
    /// Completes when a task ends before the shutdown.
    async fn failure(&mut self) -> ExitError {
        match self.running.join_next_with_id().await {
            Some(ended) => match self.named(ended) {
                (name, Ok(())) => {
                    ExitError::failed(format!("task {name} ended before the shutdown"))
                }
                (_, Err(error)) => error,
            },
            None => std::future::pending().await,
        }
    }

    /// Cancels all tasks, waits until `deadline` and aborts those still running.
    async fn stop(&mut self, deadline: Instant) -> Result<(), ExitError> {
        self.stop.cancel();
        let mut outcome = Ok(());
        loop {
            match tokio::time::timeout_at(deadline, self.running.join_next_with_id()).await {
                Ok(Some(ended)) => outcome = outcome.and(self.named(ended).1),
                Ok(None) => return outcome,
                Err(_) => break,
            }
        }
        let names = self.names.values().copied().collect::<Vec<_>>().join(", ");
        self.running.shutdown().await;
        outcome.and(Err(forced(&names)))
    }

    /// The name and result of a task that ended. A panic counts as an error.
    fn named(
        &mut self,
        ended: Result<(Id, Result<(), ExitError>), JoinError>,
    ) -> (&'static str, Result<(), ExitError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(ExitError::failed(error))),
        };
        let name = self.names.remove(&id).unwrap_or("unknown");
        (name, result.map_err(|error| error.context(name)))
    }
}

async fn by(
    deadline: Instant,
    name: &str,
    step: impl Future<Output = ()>,
) -> Result<(), ExitError> {
    let done = tokio::time::timeout_at(deadline, step).await;
    done.map_err(|_| forced(name))
}

/// A forced stop loses no acknowledged work.
fn forced(names: &str) -> ExitError {
    ExitError::failed(format!("{names} did not stop in time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::MIN_GRACE;

    async fn until_stopped(stop: CancellationToken) -> Result<(), ExitError> {
        stop.cancelled().await;
        Ok(())
    }

    async fn run(supervisor: Supervisor, shutdown: CancellationToken) -> Result<(), ExitError> {
        let startup = async { Ok(()) };
        supervisor
            .run(startup, shutdown, MIN_GRACE, async {}, async {})
            .await
    }

    #[test]
    fn the_stage_limits_add_up_to_at_most_the_minimum_grace() {
        assert!(MIN_STOP <= MIN_GRACE, "{MIN_STOP:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_ends_within_the_minimum_grace_when_every_task_hangs() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn(Stage::Intake, "consumer", |_| std::future::pending::<()>());
        supervisor.spawn(Stage::Intake, "server", |_| std::future::pending::<()>());
        supervisor.spawn(Stage::Relay, "relay", |_| std::future::pending::<()>());
        supervisor.writers().spawn(std::future::pending::<()>());
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let begun = Instant::now();

        let startup = async { Ok(()) };
        let never = std::future::pending();
        let stopped = supervisor
            .run(startup, shutdown, MIN_GRACE, async {}, never)
            .await;

        assert!(stopped.is_err());
        assert!(begun.elapsed() <= MIN_GRACE, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_may_use_the_time_that_the_intake_did_not() {
        let supervisor = Supervisor::default();
        let slow_commit = tokio::time::sleep(MIN_INTAKE);
        supervisor.writers().spawn(slow_commit);
        let shutdown = CancellationToken::new();
        shutdown.cancel();

        run(supervisor, shutdown).await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_ends_before_the_shutdown_stops_the_service_and_is_named() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn(Stage::Intake, "server", until_stopped);
        supervisor.spawn(Stage::Intake, "consumer", async |_| ());

        let error = run(supervisor, CancellationToken::new()).await.unwrap_err();

        assert!(error.to_string().contains("consumer"), "{error}");
    }

    #[tokio::test]
    async fn a_task_that_panics_stops_the_service_and_is_named() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn(Stage::Intake, "server", until_stopped);
        supervisor.spawn(Stage::Relay, "relay", async |_| -> () {
            panic!("on purpose")
        });

        let error = run(supervisor, CancellationToken::new()).await.unwrap_err();

        assert!(error.to_string().contains("relay"), "{error}");
    }

    #[tokio::test]
    async fn the_relay_stops_after_the_intake_and_the_writers() {
        let (order, mut stopped) = tokio::sync::mpsc::unbounded_channel();
        let mut supervisor = Supervisor::default();
        let (intake, relay, writer) = (order.clone(), order.clone(), order);
        let (handle, mut submitted) = tokio::sync::mpsc::channel::<()>(1);
        supervisor.spawn(Stage::Relay, "relay", async move |stop| {
            stop.cancelled().await;
            let _ = relay.send("relay");
        });
        supervisor.spawn(Stage::Intake, "consumer", async move |stop| {
            stop.cancelled().await;
            let _ = intake.send("intake");
            drop(handle);
        });
        supervisor.writers().spawn(async move {
            while submitted.recv().await.is_some() {}
            let _ = writer.send("writer");
        });
        let shutdown = CancellationToken::new();
        shutdown.cancel();

        run(supervisor, shutdown).await.unwrap();

        let order = [
            stopped.recv().await,
            stopped.recv().await,
            stopped.recv().await,
        ];
        assert_eq!(order, ["intake", "writer", "relay"].map(Some));
    }

    #[tokio::test]
    async fn a_task_that_waits_for_its_preparation_is_stopped_before_it_starts() {
        let (_prepared, waiting) = watch::channel(false);
        let mut supervisor = Supervisor::default();
        supervisor.spawn_when(&waiting, Stage::Intake, "consumer", async |_| -> () {
            panic!("must not begin")
        });
        let shutdown = CancellationToken::new();
        shutdown.cancel();

        run(supervisor, shutdown).await.unwrap();
    }
}
