//! The running parts, and the order in which they stop.

use chassis::consumer::Consumer;
use chassis::crash_points::{CrashPoint, reach};
use chassis::database::Database;
use chassis::grpc::GrpcServer;
use chassis::health::Health;
use chassis::outbox::watch::{BacklogWatch, ENOUGH_ROWS};
use chassis::parking::watch::ParkedWatch;
use chassis::relay::Relay;
use proto::FILE_DESCRIPTOR_SET;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::RunError;
use crate::rpc::InventoryRpc;

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

/// Everything that is to run.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) server: GrpcServer,
    pub(super) inventory: InventoryRpc,
    pub(super) health: Health,
    pub(super) consumer: Consumer,
    pub(super) relay: Relay,
    /// True once orders may be processed: the consumer and the relay wait for it.
    pub(super) prepared: watch::Receiver<bool>,
    pub(super) writer: TaskTracker,
    pub(super) database: Database,
}

/// Everything that runs.
pub(super) struct Running {
    consumer: Part,
    relay: Part,
    server: Part,
    watch: Part,
    writer: TaskTracker,
    database: Database,
}

impl Parts {
    /// Starts all parts.
    pub(super) fn start(self) -> Running {
        let (server, inventory, health) = (self.server, self.inventory, self.health);
        let (consumer, prepared) = (self.consumer, self.prepared.clone());
        let (relay, also_prepared) = (self.relay, self.prepared);
        // Nothing is decided by what waits and what is parked here: it is shown.
        let backlog = BacklogWatch::new(self.database.outbox(), ENOUGH_ROWS);
        let parked = ParkedWatch::new(self.database.parked_events());
        Running {
            consumer: Part::spawn("consumer", |stop| async move {
                if is_prepared(prepared, &stop).await {
                    consumer.run(stop).await?;
                }
                Ok(())
            }),
            relay: Part::spawn("relay", |stop| async move {
                if is_prepared(also_prepared, &stop).await {
                    relay.run(stop).await;
                }
                Ok(())
            }),
            server: Part::spawn("server", |stop| async move {
                let routes = Routes::new(inventory.into_server());
                Ok(server
                    .serve(routes, FILE_DESCRIPTOR_SET, &health, stop)
                    .await?)
            }),
            watch: Part::spawn("watch", |stop| async move {
                tokio::join!(backlog.run(stop.clone(), |_| ()), parked.run(stop));
                Ok(())
            }),
            writer: self.writer,
            database: self.database,
        }
    }
}

/// Waits until orders may be processed; `false` if the stop comes first.
async fn is_prepared(mut prepared: watch::Receiver<bool>, stop: &CancellationToken) -> bool {
    let prepared = stop.run_until_cancelled(prepared.wait_for(|prepared| *prepared));
    matches!(prepared.await, Some(Ok(_)))
}

impl Running {
    /// Completes when a part ends that nobody has stopped.
    pub(super) async fn failure(&mut self) -> RunError {
        tokio::select! {
            error = self.consumer.ended_unasked() => error,
            error = self.relay.ended_unasked() => error,
            error = self.server.ended_unasked() => error,
            error = self.watch.ended_unasked() => error,
        }
    }

    /// Stops all parts: the intake first, the database last. A part that fails to stop does not keep the others up.
    pub(super) async fn stop(mut self) -> Result<(), RunError> {
        let stopped = [
            reach(CrashPoint::InShutdown).map_err(RunError::from),
            self.consumer.stop().await,
            reach(CrashPoint::AfterIntake).map_err(RunError::from),
            self.relay.stop().await,
            self.server.stop().await,
            self.watch.stop().await,
        ];
        // The consumer's handler and the server's routes held the last handles of the store, so its writer and the
        // stock's readers have seen their last commands.
        self.writer.close();
        self.writer.wait().await;
        self.database.close().await;
        stopped.into_iter().collect()
    }
}
