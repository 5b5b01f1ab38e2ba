//! The running parts, and the order in which they stop.

use std::sync::Arc;

use chassis::sqlite::Sqlite;
use proto::FILE_DESCRIPTOR_SET;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::{App, RunError};

/// A task and the token that stops it. The policy of all of them: whichever ends unasked stops the service.
struct Part {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Part {
    fn spawn<F>(name: &'static str, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), RunError>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(stop.clone()));
        Self { name, stop, task }
    }

    /// Waits until the part ends. A panic has no value of its own and is told like any other end.
    async fn ended(&mut self) -> Result<(), RunError> {
        let ended = (&mut self.task).await;
        ended.unwrap_or(Err(RunError::Ended(self.name)))
    }

    /// Waits until the part ends although nobody asked it to, which is an error however it ends.
    async fn ended_unasked(&mut self) -> RunError {
        let ended = self.ended().await;
        ended.err().unwrap_or(RunError::Ended(self.name))
    }

    /// Asks the part to stop and waits until it has. A part that has ended before has nothing more to say.
    async fn stop(&mut self) -> Result<(), RunError> {
        if self.task.is_finished() {
            return Ok(());
        }
        self.stop.cancel();
        self.ended().await
    }
}

/// Everything that runs.
pub(super) struct Running {
    consumer: Part,
    relay: Part,
    server: Part,
    writer: TaskTracker,
    database: Arc<Sqlite>,
}

impl Running {
    /// Starts all parts.
    pub(super) fn start(app: App) -> Self {
        let (consumer, relay) = (app.consumer, app.relay);
        let (server, health) = (app.server, app.health);
        Self {
            consumer: Part::spawn(
                "consumer",
                |stop| async move { Ok(consumer.run(stop).await?) },
            ),
            relay: Part::spawn("relay", |stop| async move {
                relay.run(stop).await;
                Ok(())
            }),
            server: Part::spawn("server", |stop| async move {
                let routes = Routes::default();
                Ok(server
                    .serve(routes, FILE_DESCRIPTOR_SET, &health, stop)
                    .await?)
            }),
            writer: app.writer,
            database: app.database,
        }
    }

    /// Waits for the shutdown, or for a part that fails.
    pub(super) async fn until(&mut self, shutdown: &CancellationToken) -> Result<(), RunError> {
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            error = self.consumer.ended_unasked() => Err(error),
            error = self.relay.ended_unasked() => Err(error),
            error = self.server.ended_unasked() => Err(error),
        }
    }

    /// Stops all parts: the intake first, the database last. A part that fails to stop does not keep the others up.
    pub(super) async fn stop(mut self) -> Result<(), RunError> {
        let stopped = [
            self.consumer.stop().await,
            self.relay.stop().await,
            self.server.stop().await,
        ];
        // The consumer's handler held the last handle of the store, so the writer has seen its last command.
        self.writer.close();
        self.writer.wait().await;
        self.database.close().await;
        stopped.into_iter().collect()
    }
}
