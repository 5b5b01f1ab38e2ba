//! The components at work: how they are wired, who watches them, and in which order they stop.

use std::sync::Arc;
use std::time::Duration;

use chassis::consumer::{Consumer, ConsumerConfig};
use chassis::grpc::GrpcServer;
use chassis::health::Health;
use chassis::outbox::OutboxSignal;
use chassis::outbox::sqlite::SqliteOutbox;
use chassis::relay::Relay;
use chassis::sqlite::Sqlite;
use futures::FutureExt;
use proto::topics;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::{App, RunError};
use crate::commit::Writers;
use crate::config::Config;
use crate::outcomes::OutcomeHandler;
use crate::rpc::OrderRpc;
use crate::store::OrderStore;
use crate::store::sqlite::SqliteStore;
use crate::watchers::Watchers;

/// Outcomes in work at once. They share commits, so this many wait for a handful of fsyncs.
const OUTCOMES_IN_FLIGHT: usize = 512;

/// Kept back from the grace period for what follows the intake: the relay waits up to 5 s for its acknowledgements, and
/// closing the database folds its log into the file.
const OUTFLOW: Duration = Duration::from_secs(6);

/// Everything that runs. Dropped, it aborts what is left.
#[derive(Debug)]
pub(super) struct Running {
    database: Arc<Sqlite>,
    /// The server and the consumer: what brings work in. Either one's end stops the service.
    intake: JoinSet<Result<(), RunError>>,
    stop_intake: CancellationToken,
    /// The writers. They end by themselves when nobody can submit any more.
    writing: TaskTracker,
    /// The relay, which recovers from everything and ends only when it is told to.
    relay: JoinSet<Result<(), RunError>>,
    stop_relay: CancellationToken,
}

impl Running {
    /// Starts all components.
    pub(super) fn start(app: App) -> Self {
        let App {
            config,
            database,
            server,
            health,
        } = app;
        let store: Arc<dyn OrderStore> = Arc::new(SqliteStore::new(Arc::clone(&database)));
        let watchers = Watchers::default();
        let signal = OutboxSignal::default();
        let writing = TaskTracker::new();
        let writers = Writers::start(&store, &watchers, &signal, config.commit, &writing);
        let stop_intake = CancellationToken::new();
        let stop_relay = CancellationToken::new();

        let mut relay = JoinSet::new();
        let publisher = build_relay(&config, &database, signal).run(stop_relay.clone());
        relay.spawn(publisher.map(Ok));
        let mut intake = JoinSet::new();
        let consumer = build_consumer(&config, &writers);
        let stop_consumer = stop_intake.clone();
        intake.spawn(async move { Ok(consumer.run(stop_consumer).await?) });
        let rpc = OrderRpc {
            store,
            writers,
            watchers,
            streams: Arc::new(Semaphore::new(config.watch_streams)),
            shutdown: stop_intake.clone(),
        };
        intake.spawn(serve(server, rpc, health, stop_intake.clone()));

        Self {
            database,
            intake,
            stop_intake,
            writing,
            relay,
            stop_relay,
        }
    }

    /// Completes when a component ends that nobody has stopped.
    pub(super) async fn failure(&mut self) -> RunError {
        tokio::select! {
            ended = self.intake.join_next() => why(ended.unwrap_or(Ok(Ok(())))),
            ended = self.relay.join_next() => why(ended.unwrap_or(Ok(Ok(())))),
        }
    }

    /// Stops all components in order; see [`App::run`].
    ///
    /// A step that takes too long is left behind and the next one begins: a hanging client must not cost the relay its
    /// acknowledgements.
    pub(super) async fn stop(mut self, grace: Duration) -> Result<(), RunError> {
        let deadline = Instant::now() + grace;
        let intake_deadline = Instant::now() + grace.saturating_sub(OUTFLOW);

        self.stop_intake.cancel();
        let intake = within(intake_deadline, drain(&mut self.intake)).await;
        // The last handles of the writers went with the intake.
        self.writing.close();
        let writing = within(intake_deadline, self.writing.wait().map(Ok)).await;
        self.stop_relay.cancel();
        let relay = within(deadline, drain(&mut self.relay)).await;
        let database = within(deadline, self.database.close().map(Ok)).await;
        intake.and(writing).and(relay).and(database)
    }
}

async fn within(
    deadline: Instant,
    step: impl Future<Output = Result<(), RunError>>,
) -> Result<(), RunError> {
    let done = tokio::time::timeout_at(deadline, step).await;
    done.unwrap_or(Err(RunError::Forced))
}

/// Waits for all tasks and returns the first failure.
async fn drain(tasks: &mut JoinSet<Result<(), RunError>>) -> Result<(), RunError> {
    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        outcome = outcome.and(flatten(ended));
    }
    outcome
}

fn build_relay(config: &Config, database: &Arc<Sqlite>, signal: OutboxSignal) -> Relay {
    let outbox = SqliteOutbox::new(Arc::clone(database));
    Relay::new(&config.kafka, Arc::new(outbox), signal)
}

fn build_consumer(config: &Config, writers: &Writers) -> Consumer {
    let consumer = ConsumerConfig {
        group: "order-service",
        topic: topics::PROCESSING_EVENTS,
        dead_letter_topic: topics::PROCESSING_EVENTS_DEAD_LETTERS,
        max_in_flight: OUTCOMES_IN_FLIGHT,
    };
    let handler = OutcomeHandler::new(writers.apply.clone());
    Consumer::new(&config.kafka, consumer, Arc::new(handler))
}

async fn serve(
    server: GrpcServer,
    rpc: OrderRpc,
    health: Health,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let routes = Routes::new(rpc.into_server());
    server
        .serve(routes, proto::FILE_DESCRIPTOR_SET, &health, shutdown)
        .await?;
    Ok(())
}

fn flatten(ended: Result<Result<(), RunError>, JoinError>) -> Result<(), RunError> {
    ended?
}

fn why(ended: Result<Result<(), RunError>, JoinError>) -> RunError {
    match flatten(ended) {
        Ok(()) => RunError::EndedEarly,
        Err(error) => error,
    }
}
