//! Wiring: [`App::build`] connects and binds, [`App::run`] runs.
//!
//! ```text
//! orders.order.events.v1 ─▶ consumer ─▶ OrderEvents ─▶ Pipeline ─┬▶ ProcessingStore ─▶ outbox ─▶ relay ─▶ processing.order.events.v1
//!                                                                └▶ PaymentGateway
//! CheckAvailability ─────▶ InventoryRpc ─▶ StockReader ─▶ ProcessingStore
//! ProcessOrder, if it is on ─▶ ProcessingRpc ─▶ Pipeline
//! ```
//!
//! Start order: serve, not ready → wait for the database, seed the stock → consume and publish → ready, unless Kafka
//! reports that a topic is missing. Nothing is consumed before the stock is seeded: orders would be rejected for unknown
//! SKUs. While the database is down, the process stays up and logs the reason.
//!
//! Stop order ([`service::supervisor`]): not ready → calls and the consumer end → the writer commits submitted work → the
//! relay waits for its last acknowledgements → the database is closed. Interrupted work is repeated after the next start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use consumer::retry_store::{self, watch::RetryStoreWatch};
use consumer::{Consumer, ConsumerConfig};
use grpc::health::Health;
use grpc::server::GrpcServer;
use outbox::HandOver;
use outbox::relay::Relay;
use outbox::watch::{BacklogWatch, MAX_COUNTED_ROWS};
use proto::inventory::v1::inventory_service_server::SERVICE_NAME as INVENTORY;
use proto::processing::v1::processing_service_server::SERVICE_NAME as PROCESSING;
use proto::topics;
use service::backoff::{Backoff, retry};
use service::command_line::ExitError;
use service::error_chain::ErrorChain;
use service::supervisor::{Stage, Supervisor};
use sql::database::Database;
use sql::retention::Pruner;
use telemetry::process;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use crate::catalogue::Catalogue;
use crate::config::Config;
use crate::events::OrderEvents;
use crate::payment::simulated::SimulatedGateway;
use crate::rpc::{InventoryRpc, ProcessingRpc};
use crate::steps::Pipeline;
use crate::stock_reader::{self, StockReader};
use crate::store::{self, MIGRATIONS, ProcessingStore};
use crate::topics::NEEDED;

/// Waits between attempts to seed the stock. The database answered a moment before, so a failure is short or is seen in
/// the log.
const SEED_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    cap: Duration::from_secs(5),
};

/// The service, connected and bound; nothing runs yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    database: Database,
    server: GrpcServer,
    catalogue: Catalogue,
    health: Health,
}

impl App {
    /// Loads the catalogue, binds the port and opens the database. PostgreSQL and Kafka may be down.
    ///
    /// # Errors
    /// When one of the three is misconfigured.
    pub async fn build(config: Config) -> Result<Self, ExitError> {
        let catalogue = Catalogue::load(&config.catalogue_file)?;
        let server = GrpcServer::bind(&config.grpc, env!("CARGO_PKG_NAME")).await?;
        let database = Database::open(&config.database, MIGRATIONS).await?;
        let services: &[&str] = match config.process_order {
            true => &[INVENTORY, PROCESSING],
            false => &[INVENTORY],
        };
        Ok(Self {
            health: Health::starting(services),
            config,
            database,
            server,
            catalogue,
        })
    }

    /// The bound address of the API, with the actual port if the configured one is 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Runs until `shutdown`, or until a task fails; then stops everything in order.
    ///
    /// # Errors
    /// When the database is unusable, a task failed, or the stop was forced.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ExitError> {
        self.observe();
        let (health, database) = (self.health.clone(), self.database.clone());
        let (config, catalogue) = (self.config.clone(), self.catalogue.clone());
        let (prepared, when_prepared) = watch::channel(false);
        let (supervisor, store) = self.start(when_prepared);
        let startup = startup(&config, &database, store, catalogue, prepared, &health);
        let (grace, not_ready) = (config.shutdown.grace, async { health.set_ready(false) });
        supervisor
            .run(startup, shutdown, grace, not_ready, database.close())
            .await
    }

    /// Registers the observable metrics.
    fn observe(&self) {
        self.database.observe();
        self.server.connections().observe();
        process::observe(&Handle::current());
    }

    /// Starts every task. The consumer and the relay wait until the stock is seeded (`prepared`).
    fn start(self, prepared: watch::Receiver<bool>) -> (Supervisor, Arc<dyn ProcessingStore>) {
        let mut supervisor = Supervisor::default();
        let (config, database) = (&self.config, &self.database);
        let hand_over = HandOver::default();
        let store = store::open(database, hand_over.clone(), supervisor.writers());

        let pipeline = build_pipeline(config, Arc::clone(&store));
        let consumer = build_consumer(config, database, pipeline.clone(), supervisor.writers());
        supervisor.spawn_when(&prepared, Stage::Intake, "consumer", |stop| {
            consumer.run(stop)
        });
        let outbox = outbox::database::outbox(database);
        let pruner = Pruner::new(database, config.retention.rules(), config.retention.prune);
        supervisor.spawn_when(&prepared, Stage::Intake, "pruner", |stop| pruner.run(stop));
        let leases = outbox::database::leases(database);
        let relay = Relay::new(&config.kafka, outbox, leases, hand_over);
        supervisor.spawn_when(&prepared, Stage::Relay, "relay", |stop| relay.run(stop));
        self.start_api(pipeline, prepared, &mut supervisor);
        (supervisor, store)
    }

    /// Starts the server and the watches. The watches only feed metrics: no call is rejected because of them.
    fn start_api(
        self,
        pipeline: Pipeline,
        prepared: watch::Receiver<bool>,
        supervisor: &mut Supervisor,
    ) {
        let routes = routes(&self.config, pipeline, prepared, supervisor.writers());
        let (database, server, health) = (self.database, self.server, self.health);
        tracing::info!(grpc_listen = %server.local_addr(), "serving");
        supervisor.spawn(Stage::Intake, "grpc server", async move |stop| {
            let descriptors = proto::FILE_DESCRIPTOR_SET;
            server.serve(routes, descriptors, &health, stop).await
        });
        let outbox = outbox::database::outbox(&database);
        let backlog = BacklogWatch::new(outbox, MAX_COUNTED_ROWS);
        supervisor.spawn(Stage::Intake, "backlog", async move |stop| {
            backlog.run(stop, |_| ()).await;
        });
        let stored = RetryStoreWatch::new(retry_store::database::operations(&database));
        supervisor.spawn(Stage::Intake, "retry store watch", |stop| stored.run(stop));
    }
}

/// The services that are on.
fn routes(
    config: &Config,
    pipeline: Pipeline,
    prepared: watch::Receiver<bool>,
    tracker: &TaskTracker,
) -> Routes {
    let store = Arc::clone(&pipeline.store);
    let stock = StockReader::start(store, stock_reader::BOUNDS, tracker);
    let inventory = InventoryRpc {
        stock,
        prepared: prepared.clone(),
    };
    let routes = Routes::new(inventory.into_server());
    if !config.process_order {
        return routes;
    }
    let processing = ProcessingRpc {
        pipeline,
        tasks: tracker.clone(),
        prepared,
    };
    routes.add_service(processing.into_server())
}

/// From started to ready. Several replicas may run this concurrently.
async fn startup(
    config: &Config,
    database: &Database,
    store: Arc<dyn ProcessingStore>,
    catalogue: Catalogue,
    prepared: watch::Sender<bool>,
    health: &Health,
) -> Result<(), ExitError> {
    let name = env!("CARGO_PKG_NAME");
    database.ready(&config.database, MIGRATIONS, name).await?;
    seed(&*store, &catalogue).await;
    // The writers end when their last handle is dropped.
    drop(store);
    prepared.send_replace(true);
    kafka::topics::settled(&config.kafka, config.topics, &NEEDED).await;
    health.set_ready(true);
    tracing::info!("ready");
    Ok(())
}

async fn seed(store: &dyn ProcessingStore, catalogue: &Catalogue) {
    let seeding = || store.seed(catalogue);
    let added = retry(SEED_BACKOFF, seeding, |attempt, error| {
        tracing::warn!(attempt, error = %ErrorChain(error), "stock seeding failed");
    });
    let (skus, added) = (catalogue.entries().len(), added.await);
    tracing::info!(skus, added, "stock seeded");
}

/// The consumer and ProcessOrder share it.
fn build_pipeline(config: &Config, store: Arc<dyn ProcessingStore>) -> Pipeline {
    Pipeline {
        store,
        gateway: Arc::new(SimulatedGateway::new(config.payment.latency)),
        capture: config.payment.capture,
        sagas_kept: config.retention.sagas,
    }
}

fn build_consumer(
    config: &Config,
    database: &Database,
    pipeline: Pipeline,
    tracker: &TaskTracker,
) -> Consumer {
    let kafka = &config.kafka;
    let consumer = ConsumerConfig {
        group: kafka.name(env!("CARGO_PKG_NAME")),
        topic: kafka.name(topics::ORDER_EVENTS),
        dead_letter_topic: kafka.name(topics::ORDER_EVENTS_DEAD_LETTERS),
        max_in_flight: config.orders_in_flight,
        retry_policy: config.retry_policy,
        trace_processing: config.trace_processing,
        service: env!("CARGO_PKG_NAME"),
        version: crate::VERSION,
    };
    let handler = Arc::new(OrderEvents::new(pipeline));
    let retry_store = retry_store::database::retry_store(database, tracker);
    Consumer::new(kafka, consumer, handler, retry_store)
}
