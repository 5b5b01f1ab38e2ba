//! Wiring: [`App::build`] connects and binds, [`App::run`] runs.
//!
//! ```text
//!  Inventory           Admission (watches the outbox)
//!      ▲                 ▲
//!  OrderRpc ──▶ place, cancel ─┐                     ┌─▶ Watchers ──▶ WatchOrder
//!                              ├──▶ OrderStore ──────┤
//!  Consumer ──▶ apply ─────────┘    (one database)   └─▶ outbox ──▶ Relay ──▶ Kafka
//! ```
//!
//! Start order: serve, not ready → wait for the database → consume and publish → ready, unless Kafka reports that a topic is
//! missing. While the database is down, the process stays up, and reads and writes fail with UNAVAILABLE.
//!
//! Stop order ([`service::supervisor`]): not ready → calls, streams and the consumer end → the writers commit submitted work
//! → the relay waits for its last acknowledgements → the database is closed.

use std::net::SocketAddr;
use std::sync::Arc;

use consumer::retry_store::{self, watch::RetryStoreWatch};
use consumer::{Consumer, ConsumerConfig};
use grpc::auth::Authentication;
use grpc::health::Health;
use grpc::rate_limit::CustomerRateLimit;
use grpc::server::GrpcServer;
use grpc::server::load_shed::ShedCalls;
use outbox::HandOver;
use outbox::relay::Relay;
use proto::orders::v1::order_service_server::SERVICE_NAME;
use proto::topics;
use service::command_line::ExitError;
use service::supervisor::{Stage, Supervisor};
use sql::database::Database;
use sql::retention::Pruner;
use telemetry::process;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use crate::admission::Admission;
use crate::commit::Writers;
use crate::config::Config;
use crate::events::OutcomeHandler;
use crate::follower::Follower;
use crate::history_reader::HistoryReader;
use crate::inventory::{InventoryClient, InventoryUpkeep};
use crate::open_orders_watch::OpenOrdersWatch;
use crate::rpc::OrderRpc;
use crate::store::{self, MIGRATIONS, OrderStore};
use crate::topics::NEEDED;
use crate::watchers::Watchers;

/// They share commits, so this many events wait for a handful of fsyncs.
const MAX_OUTCOMES_IN_FLIGHT: usize = 512;

/// The service, connected and bound; nothing runs yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    database: Database,
    server: GrpcServer,
    authentication: Authentication,
    inventory: InventoryClient,
    inventory_upkeep: Option<InventoryUpkeep>,
    health: Health,
}

impl App {
    /// Opens the database, reads the keys of the token issuer and binds the port. The database server, Kafka and the issuer
    /// may be down.
    ///
    /// # Errors
    /// When one of the three, or the client of processing-service, is misconfigured.
    pub async fn build(config: Config) -> Result<Self, ExitError> {
        let database = Database::open(&config.database, MIGRATIONS).await?;
        let authentication =
            Authentication::load(config.auth.as_ref(), env!("CARGO_PKG_NAME")).await?;
        let (inventory, inventory_upkeep) = InventoryClient::new(&config.inventory)?;
        let server = GrpcServer::bind(&config.grpc, env!("CARGO_PKG_NAME")).await?;
        Ok(Self {
            config,
            database,
            server: server.authenticated(authentication.layer()),
            authentication,
            inventory,
            inventory_upkeep,
            health: Health::starting(&[SERVICE_NAME]),
        })
    }

    /// The bound address of the API, with the actual port if the configured one is 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Runs until `shutdown` or until a task fails, then shuts down in order.
    ///
    /// # Errors
    /// When the database is unusable, a task failed, or the shutdown was forced.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ExitError> {
        self.observe();
        let (health, database) = (self.health.clone(), self.database.clone());
        let config = self.config.clone();
        let (prepared, when_prepared) = watch::channel(false);
        let supervisor = self.start(&when_prepared);
        drop(when_prepared);
        let startup = startup(&config, &database, prepared, &health);
        let (grace, not_ready) = (config.shutdown.grace, async { health.set_ready(false) });
        supervisor
            .run(startup, shutdown, grace, not_ready, database.close())
            .await
    }

    /// Registers the observable metrics.
    fn observe(&self) {
        self.database.observe();
        self.server.connections().observe();
        self.inventory.observe();
        process::observe(&Handle::current());
    }

    /// Starts every task. The consumer, the relay and the follower wait until the database is `prepared`.
    fn start(self, prepared: &watch::Receiver<bool>) -> Supervisor {
        let mut supervisor = Supervisor::default();
        let (config, database) = (&self.config, &self.database);
        let hand_over = HandOver::default();
        let store = store::open(database, hand_over.clone());
        let watchers = Watchers::default();
        let writing = supervisor.writers();
        let writers = Writers::start(&store, &watchers, config.commit, writing);

        let consumer = build_consumer(config, database, &writers, supervisor.writers());
        supervisor.spawn_when(prepared, Stage::Intake, "consumer", |stop| {
            consumer.run(stop)
        });
        let outbox = outbox::database::outbox(database);
        let pruner = Pruner::new(database, config.retention.rules(), config.retention.prune);
        supervisor.spawn_when(prepared, Stage::Intake, "pruner", |stop| pruner.run(stop));
        let leases = outbox::database::leases(database);
        let relay = Relay::new(&config.kafka, outbox, leases, hand_over);
        supervisor.spawn_when(prepared, Stage::Relay, "relay", |stop| relay.run(stop));
        // On SQLite every commit is this process's own and wakes the watchers.
        if matches!(database, Database::Postgres(_)) {
            let follower = Follower::new(Arc::clone(&store), watchers.clone());
            supervisor.spawn_when(prepared, Stage::Intake, "follower", |stop| {
                follower.run(stop)
            });
        }
        self.start_api(store, writers, watchers, &mut supervisor);
        supervisor
    }

    /// Starts the server, and the tasks that refresh its keys, the replicas of processing-service, and the metrics of backlog,
    /// retry store and open orders.
    fn start_api(
        self,
        store: Arc<dyn OrderStore>,
        writers: Writers,
        watchers: Watchers,
        supervisor: &mut Supervisor,
    ) {
        let (config, database, server) = (self.config, self.database, self.server);
        let admission = Admission::default();
        let inventory = self.inventory.start(supervisor.writers());
        let histories = HistoryReader::start(&store, supervisor.writers());
        let rpc = |shutdown| OrderRpc {
            store,
            histories,
            writers,
            watchers,
            streams: Arc::new(Semaphore::new(config.watch_streams)),
            rate_limit: Arc::new(CustomerRateLimit::new(config.rate_limit)),
            admission: admission.clone(),
            inventory,
            shed: ShedCalls::default(),
            shutdown,
        };
        tracing::info!(grpc_listen = %server.local_addr(), "serving");
        let health = self.health;
        supervisor.spawn(Stage::Intake, "grpc server", |stop| {
            let routes = Routes::new(rpc(stop.clone()).into_server());
            async move {
                let descriptors = proto::FILE_DESCRIPTOR_SET;
                server.serve(routes, descriptors, &health, stop).await
            }
        });
        supervisor.spawn(Stage::Intake, "keys", |stop| {
            self.authentication.keep_fresh(stop)
        });
        let backlog = outbox::database::outbox(&database);
        supervisor.spawn(Stage::Intake, "backlog", |stop| {
            admission.watch(backlog, config.backlog, stop)
        });
        let stored = RetryStoreWatch::new(retry_store::database::operations(&database));
        supervisor.spawn(Stage::Intake, "retry store watch", |stop| stored.run(stop));
        let open_orders = OpenOrdersWatch::new(store::open_orders(&database));
        supervisor.spawn(Stage::Intake, "open orders watch", |stop| {
            open_orders.run(stop)
        });
        if let Some(upkeep) = self.inventory_upkeep {
            supervisor.spawn(Stage::Intake, "replicas of processing-service", |stop| {
                upkeep.run(stop)
            });
        }
    }
}

/// From started to ready.
async fn startup(
    config: &Config,
    database: &Database,
    prepared: watch::Sender<bool>,
    health: &Health,
) -> Result<(), ExitError> {
    let name = env!("CARGO_PKG_NAME");
    database.ready(&config.database, MIGRATIONS, name).await?;
    prepared.send_replace(true);
    kafka::topics::settled(&config.kafka, config.topics, &NEEDED).await;
    health.set_ready(true);
    tracing::info!("ready");
    Ok(())
}

fn build_consumer(
    config: &Config,
    database: &Database,
    writers: &Writers,
    tracker: &TaskTracker,
) -> Consumer {
    let kafka = &config.kafka;
    let consumer = ConsumerConfig {
        group: kafka.name(env!("CARGO_PKG_NAME")),
        topic: kafka.name(topics::PROCESSING_EVENTS),
        dead_letter_topic: kafka.name(topics::PROCESSING_EVENTS_DEAD_LETTERS),
        max_in_flight: MAX_OUTCOMES_IN_FLIGHT,
        retry_policy: config.retry_policy,
        trace_processing: config.trace_processing,
        service: env!("CARGO_PKG_NAME"),
        version: crate::VERSION,
    };
    let handler = Arc::new(OutcomeHandler::new(writers.apply.clone()));
    let retry_store = retry_store::database::retry_store(database, tracker);
    Consumer::new(kafka, consumer, handler, retry_store)
}
