//! The components at work: how they are wired, who watches them, and in which order they start and stop.

use std::sync::Arc;
use std::time::Duration;

use chassis::consumer::{Consumer, ConsumerConfig};
use chassis::crash_points::{CrashPoint, reach};
use chassis::database::Database;
use chassis::fairness::FairShare;
use chassis::grpc::GrpcServer;
use chassis::grpc::shed::ShedCalls;
use chassis::health::Health;
use chassis::outbox::OutboxSignal;
use chassis::parking::watch::ParkedWatch;
use chassis::relay::Relay;
use futures::FutureExt;
use proto::topics;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::{App, RunError};
use crate::admission::Admission;
use crate::commit::Writers;
use crate::config::Config;
use crate::outcomes::OutcomeHandler;
use crate::rpc::OrderRpc;
use crate::store::{self, MIGRATIONS, OrderStore};
use crate::topics::NEEDED;
use crate::watchers::{Follower, Watchers};

/// Outcomes in work at once. They share commits, so this many wait for a handful of fsyncs.
const OUTCOMES_IN_FLIGHT: usize = 512;

/// Kept back from the grace period for what follows the intake: the relay waits up to 5 s for its acknowledgements, and
/// closing the database folds its log into the file.
const OUTFLOW: Duration = Duration::from_secs(6);

/// Everything that runs. Dropped, it aborts what is left.
#[derive(Debug)]
pub(super) struct Running {
    config: Config,
    database: Database,
    health: Health,
    /// What waits for the database.
    waiting: Option<Waiting>,
    /// The server and what keeps it informed (keys, replicas of processing-service, the backlog, what is parked), the consumer and the
    /// follower: what brings work in. The end of any stops the service.
    intake: JoinSet<Result<(), RunError>>,
    stop_intake: CancellationToken,
    /// The writers. They end by themselves when nobody can submit any more.
    writing: TaskTracker,
    /// The relay, which recovers from everything and ends only when it is told to.
    relay: JoinSet<Result<(), RunError>>,
    stop_relay: CancellationToken,
}

/// The components that need the database, and start when it is there.
#[derive(Debug)]
struct Waiting {
    consumer: Consumer,
    relay: Relay,
    /// Where other processes write to the database, too.
    follower: Option<Follower>,
}

impl Running {
    /// Starts the API, and makes all other components.
    pub(super) fn start(app: App) -> Self {
        let App {
            config,
            database,
            server,
            authentication,
            inventory,
            inventory_upkeep,
            health,
        } = app;
        let store = store::of(&database);
        let watchers = Watchers::default();
        let signal = OutboxSignal::default();
        let writing = TaskTracker::new();
        let writers = Writers::start(&store, &watchers, &signal, config.commit, &writing);
        let waiting = Waiting {
            consumer: build_consumer(&config, &database, &writers),
            relay: build_relay(&config, &database, signal),
            follower: build_follower(&database, &store, &watchers),
        };
        let admission = Admission::default();
        let stop_intake = CancellationToken::new();
        let rpc = OrderRpc {
            store,
            writers,
            watchers,
            streams: Arc::new(Semaphore::new(config.watch_streams)),
            fair_share: Arc::new(FairShare::new(config.fair_share)),
            admission: admission.clone(),
            inventory,
            shed: ShedCalls::default(),
            shutdown: stop_intake.clone(),
        };
        let grpc_listen = server.local_addr();
        let mut intake = JoinSet::new();
        intake.spawn(serve(server, rpc, health.clone(), stop_intake.clone()));
        intake.spawn(authentication.keep_fresh(stop_intake.clone()).map(Ok));
        let backlog = admission.watch(database.outbox(), config.backlog, stop_intake.clone());
        intake.spawn(backlog.map(Ok));
        let parked = ParkedWatch::new(database.parked_events()).run(stop_intake.clone());
        intake.spawn(parked.map(Ok));
        if let Some(upkeep) = inventory_upkeep {
            intake.spawn(upkeep.run(stop_intake.clone()).map(Ok));
        }
        tracing::info!(%grpc_listen, "serving");

        Self {
            config,
            database,
            health,
            waiting: Some(waiting),
            intake,
            stop_intake,
            writing,
            relay: JoinSet::new(),
            stop_relay: CancellationToken::new(),
        }
    }

    /// Makes the service ready, and then completes when a component ends that nobody has stopped.
    pub(super) async fn failure(&mut self) -> RunError {
        match self.prepare().await {
            Ok(()) => self.component_end().await,
            Err(failure) => failure,
        }
    }

    /// The steps to readiness; see [`App::run`].
    async fn prepare(&mut self) -> Result<(), RunError> {
        self.database_ready().await?;
        self.start_waiting();
        self.topics_settled().await?;
        self.health.set_ready(true).await;
        tracing::info!("ready");
        Ok(())
    }

    async fn database_ready(&mut self) -> Result<(), RunError> {
        let (database, config) = (self.database.clone(), self.config.database.clone());
        let ready = database.ready(&config, MIGRATIONS, env!("CARGO_PKG_NAME"));
        // Boxed: it has room for a whole migration, which the future of the service need not carry for ever.
        Ok(self.unless_a_component_ends(Box::pin(ready)).await??)
    }

    async fn topics_settled(&mut self) -> Result<(), RunError> {
        let (kafka, topics) = (self.config.kafka.clone(), self.config.topics);
        let settled = chassis::topics::settled(&kafka, topics, &NEEDED);
        self.unless_a_component_ends(settled).await
    }

    /// A step of the preparation, given up when a component ends.
    async fn unless_a_component_ends<T>(
        &mut self,
        step: impl Future<Output = T>,
    ) -> Result<T, RunError> {
        tokio::select! {
            ended = self.component_end() => Err(ended),
            done = step => Ok(done),
        }
    }

    fn start_waiting(&mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let publisher = waiting.relay.run(self.stop_relay.clone());
        self.relay.spawn(publisher.map(Ok));
        let stop_consumer = self.stop_intake.clone();
        let consumer = waiting.consumer;
        self.intake
            .spawn(async move { Ok(consumer.run(stop_consumer).await?) });
        if let Some(follower) = waiting.follower {
            let following = follower.run(self.stop_intake.clone());
            self.intake.spawn(following.map(Ok));
        }
    }

    async fn component_end(&mut self) -> RunError {
        tokio::select! {
            Some(ended) = self.intake.join_next() => why(ended),
            Some(ended) = self.relay.join_next() => why(ended),
            else => RunError::EndedEarly,
        }
    }

    /// Stops all components in order; see [`App::run`].
    ///
    /// A step that takes too long is left behind and the next one begins: a hanging client must not cost the relay its
    /// acknowledgements.
    pub(super) async fn stop(mut self, grace: Duration) -> Result<(), RunError> {
        let deadline = Instant::now() + grace;
        let intake_deadline = Instant::now() + grace.saturating_sub(OUTFLOW);

        let begun = reach(CrashPoint::InShutdown);
        self.stop_intake.cancel();
        let intake = within(intake_deadline, drain(&mut self.intake)).await;
        // The last handles of the writers went with the intake, or go with what never started.
        self.waiting = None;
        self.writing.close();
        let writing = within(intake_deadline, self.writing.wait().map(Ok)).await;
        let at_half = reach(CrashPoint::AfterIntake);
        self.stop_relay.cancel();
        let relay = within(deadline, drain(&mut self.relay)).await;
        let database = within(deadline, self.database.close().map(Ok)).await;
        let injected = begun.and(at_half).map_err(RunError::from);
        intake.and(writing).and(relay).and(database).and(injected)
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

fn build_relay(config: &Config, database: &Database, signal: OutboxSignal) -> Relay {
    Relay::new(&config.kafka, database.outbox(), database.leases(), signal)
}

fn build_consumer(config: &Config, database: &Database, writers: &Writers) -> Consumer {
    let consumer = ConsumerConfig {
        group: "order-service",
        topic: topics::PROCESSING_EVENTS,
        dead_letter_topic: topics::PROCESSING_EVENTS_DEAD_LETTERS,
        max_in_flight: OUTCOMES_IN_FLIGHT,
        patience: config.patience,
        trace_processing: config.trace_processing,
        service: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
    };
    let handler = Arc::new(OutcomeHandler::new(writers.apply.clone()));
    Consumer::new(&config.kafka, consumer, handler, database.parking())
}

/// On SQLite every commit is this process's own, and wakes its watchers itself.
fn build_follower(
    database: &Database,
    store: &Arc<dyn OrderStore>,
    watchers: &Watchers,
) -> Option<Follower> {
    let is_shared = matches!(database, Database::Postgres(_));
    is_shared.then(|| Follower::new(Arc::clone(store), watchers.clone()))
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
