//! The tasks of a service: named, watched, and stopped in one order.
//!
//! ```text
//!  stage    what                                   stops when                     bounded by
//!  Intake   server, consumer, watches              the stop begins                grace - the rest
//!  Commit   writers of group commits               nobody can submit any more     0.5 s
//!  Relay    publishes what was committed           everything is committed        5.5 s
//!  Close    the database                           nobody uses it                 0.5 s
//! ```
//!
//! Policy of every task: its end stops the service, unless the stop has begun. A stage that does not end within its bound
//! is aborted and the next one begins: a hanging client must not cost the relay its acknowledgements.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::command_line::ExitError;
use crate::crash_points::{CrashPoint, Injected, reach};

/// The consumer drains its partitions for 8 s and leaves its group within 5 s; calls in work have 5 s.
const MIN_INTAKE: Duration = Duration::from_millis(13_250);

/// What was submitted is one batch away from its commit.
const COMMIT: Duration = Duration::from_millis(500);

/// The relay waits up to 5 s for its last acknowledgements, then releases its leases.
const RELAY: Duration = Duration::from_millis(5_500);

/// Closing a SQLite file folds its log into it.
const CLOSE: Duration = Duration::from_millis(500);

/// Kept back from the grace period for what follows the intake.
const AFTER_INTAKE: Duration = COMMIT.saturating_add(RELAY).saturating_add(CLOSE);

/// The least that a stop may need.
pub const MIN_STOP: Duration = MIN_INTAKE.saturating_add(AFTER_INTAKE);

/// When a task is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// First: it brings work in.
    Intake,
    /// After everything is committed: it brings work out.
    Relay,
}

/// The tasks of a service.
#[derive(Debug, Default)]
pub struct Supervisor {
    intake: Tasks,
    writers: TaskTracker,
    relay: Tasks,
}

impl Supervisor {
    /// Tracks the writers of group commits. They end by themselves when the last handle that can submit is dropped.
    pub fn writers(&self) -> &TaskTracker {
        &self.writers
    }

    /// Starts a task. It must end soon after its token is cancelled.
    pub fn spawn<F>(
        &mut self,
        stage: Stage,
        name: &'static str,
        run: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = Result<(), ExitError>> + Send + 'static,
    {
        let tasks = match stage {
            Stage::Intake => &mut self.intake,
            Stage::Relay => &mut self.relay,
        };
        tasks.spawn(name, run(tasks.stop.clone()));
    }

    /// Starts a task that begins its work when `prepared` turns true.
    pub fn spawn_when<F>(
        &mut self,
        prepared: &watch::Receiver<bool>,
        stage: Stage,
        name: &'static str,
        run: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), ExitError>> + Send + 'static,
    {
        let mut prepared = prepared.clone();
        self.spawn(stage, name, async move |stop: CancellationToken| {
            let preparation = prepared.wait_for(|prepared| *prepared);
            if matches!(stop.run_until_cancelled(preparation).await, Some(Ok(_))) {
                drop(prepared);
                run(stop).await?;
            }
            Ok(())
        });
    }

    /// Runs until `shutdown`, or until `startup` fails or a task ends; then stops everything in order. `not_ready` comes
    /// first, so that no new calls are routed here, and `close` last.
    ///
    /// # Errors
    /// The first failure: of the startup, of a task, or of the stop.
    pub async fn run(
        mut self,
        startup: impl Future<Output = Result<(), ExitError>>,
        shutdown: CancellationToken,
        grace: Duration,
        not_ready: impl Future<Output = ()>,
        close: impl Future<Output = ()>,
    ) -> Result<(), ExitError> {
        // Biased: a requested stop is no failure, even if a task ends in the same moment. A startup that succeeds leaves
        // the other two waiting. Boxed: it may hold a whole migration.
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
        let begun = reach(CrashPoint::InShutdown).map_err(injected);
        let intake = self.intake.stop(grace.saturating_sub(AFTER_INTAKE)).await;
        self.writers.close();
        let writers = within(COMMIT, "writers", self.writers.wait()).await;
        let at_half = reach(CrashPoint::AfterIntake).map_err(injected);
        let relay = self.relay.stop(RELAY).await;
        let closed = within(CLOSE, "database", close).await;
        begun
            .and(intake)
            .and(writers)
            .and(at_half)
            .and(relay)
            .and(closed)
    }
}

fn injected(error: Injected) -> ExitError {
    ExitError::failed(error)
}

/// Tasks that stop together.
#[derive(Debug, Default)]
struct Tasks {
    running: JoinSet<Result<(), ExitError>>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

impl Tasks {
    fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), ExitError>> + Send + 'static,
    ) {
        let handle = self.running.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Completes when a task ends that was not asked to.
    async fn failure(&mut self) -> ExitError {
        match self.running.join_next_with_id().await {
            Some(ended) => match self.named(ended) {
                (name, Ok(())) => ExitError::failed(format!("task {name} ended by itself")),
                (_, Err(error)) => error,
            },
            None => std::future::pending().await,
        }
    }

    /// Asks all tasks to stop and waits until they have, or until `bound` has passed.
    async fn stop(&mut self, bound: Duration) -> Result<(), ExitError> {
        let deadline = Instant::now() + bound;
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
        outcome.and(Err(forced(&names, bound)))
    }

    /// The name of a task that ended, and how it ended. A panic is an error of that task.
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

async fn within(
    bound: Duration,
    name: &str,
    step: impl Future<Output = ()>,
) -> Result<(), ExitError> {
    let done = tokio::time::timeout(bound, step).await;
    done.map_err(|_| forced(name, bound))
}

/// Nothing that was confirmed is lost by a forced stop.
fn forced(names: &str, bound: Duration) -> ExitError {
    ExitError::failed(format!(
        "{names} did not stop within {bound:?} and was aborted"
    ))
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
    fn the_bounds_of_a_stop_add_up_below_the_smallest_grace_that_is_accepted() {
        assert!(MIN_STOP <= MIN_GRACE, "{MIN_STOP:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_within_the_smallest_grace_whatever_hangs() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn(Stage::Intake, "consumer", |_| std::future::pending());
        supervisor.spawn(Stage::Intake, "server", |_| std::future::pending());
        supervisor.spawn(Stage::Relay, "relay", |_| std::future::pending());
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

    #[tokio::test]
    async fn a_task_that_ends_by_itself_stops_the_service_and_is_named() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn(Stage::Intake, "server", until_stopped);
        supervisor.spawn(Stage::Intake, "consumer", async |_| Ok(()));

        let error = run(supervisor, CancellationToken::new()).await.unwrap_err();

        assert!(error.to_string().contains("consumer"), "{error}");
    }

    #[tokio::test]
    async fn a_task_that_panics_stops_the_service_and_is_named() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn(Stage::Intake, "server", until_stopped);
        supervisor.spawn(Stage::Relay, "relay", async |_| panic!("on purpose"));

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
            Ok(())
        });
        supervisor.spawn(Stage::Intake, "consumer", async move |stop| {
            stop.cancelled().await;
            let _ = intake.send("intake");
            drop(handle);
            Ok(())
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
    async fn a_task_that_waits_for_the_preparation_is_stopped_before_it_begins() {
        let (_prepared, waiting) = watch::channel(false);
        let mut supervisor = Supervisor::default();
        supervisor.spawn_when(&waiting, Stage::Intake, "consumer", async |_| {
            panic!("must not begin")
        });
        let shutdown = CancellationToken::new();
        shutdown.cancel();

        run(supervisor, shutdown).await.unwrap();
    }
}
