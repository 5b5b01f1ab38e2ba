//! The parts of the service and how they are put together: [`App::build`] connects and binds, [`App::run`] runs.
//!
//! ```text
//! orders.order.events.v1 ─▶ consumer ─▶ OrderEvents ─▶ Pipeline ─┬▶ ProcessingStore ─▶ outbox ─▶ relay ─▶ processing.order.events.v1
//!                                                                └▶ PaymentGateway
//! CheckAvailability ─────▶ InventoryRpc ─▶ StockReader ─▶ ProcessingStore
//! ```
//!
//! A start has an order: serve, not ready → wait for the database, seed the stock → consume and publish → ready, unless
//! Kafka says that a topic is missing. A database that is away is waited for; the process stays up meanwhile and says so.
//!
//! A stop has an order, too, so that nothing that was begun is lost: not ready → stop reading events → finish those in
//! work and commit their offsets → let the relay finish → stop serving → close the database. All of it together is
//! bounded by the grace period; what it cuts off is repeated after the next start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chassis::consumer::{Consumer, ConsumerConfig, ConsumerError};
use chassis::crash_points::Injected;
use chassis::database::{Database, OpenError, UnusableError};
use chassis::grpc::{GrpcError, GrpcServer};
use chassis::health::Health;
use chassis::outbox::OutboxSignal;
use chassis::relay::Relay;
use proto::topics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalogue::{Catalogue, CatalogueError};
use crate::config::Config;
use crate::events::OrderEvents;
use crate::payment::simulated::SimulatedGateway;
use crate::rpc::InventoryRpc;
use crate::steps::Pipeline;
use crate::stock_reader::{self, StockReader};
use crate::store::{self, MIGRATIONS, ProcessingStore};

mod running;
mod startup;

use running::Parts;
use startup::Startup;

/// Orders in work at once. An order in work mostly waits for the payment provider, so there may be many: at 20 ms each,
/// 1,024 of them are 50,000 orders per second, more than any database here takes.
const ORDERS_IN_FLIGHT: usize = 1_024;

/// The service, connected and bound, with nothing running but the store's writer.
#[derive(Debug)]
pub struct App {
    startup: Startup,
    parts: Parts,
    health: Health,
    grace: Duration,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The catalogue is missing or wrong.
    #[error("CATALOGUE_FILE")]
    Catalogue(#[from] CatalogueError),
    /// The database cannot be opened.
    #[error("DATABASE_URL")]
    Database(#[from] OpenError),
    /// The port cannot be taken.
    #[error("GRPC_LISTEN")]
    Listen(#[from] GrpcError),
}

/// Why the service had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database answers, and it is not one to work with.
    #[error("DATABASE_URL")]
    Database(#[from] UnusableError),
    /// No events can be consumed.
    #[error("consuming events")]
    Consumer(#[from] ConsumerError),
    /// Calls cannot be served.
    #[error("serving calls")]
    Server(#[from] GrpcError),
    /// A part ended or panicked although nobody asked it to stop.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
    /// The stop took longer than the grace period.
    #[error("the stop took longer than {0:?} and was forced")]
    Forced(Duration),
    /// A step of the stop failed.
    #[error("a step of the stop failed")]
    Stop(#[from] Injected),
}

impl App {
    /// Loads the catalogue, takes the port, opens the database. A database server is not waited for.
    pub async fn build(config: &Config) -> Result<Self, BuildError> {
        let catalogue = Catalogue::load(&config.catalogue_file)?;
        let server = GrpcServer::bind(&config.grpc, env!("CARGO_PKG_NAME")).await?;
        let database = Database::open(&config.database, MIGRATIONS).await?;
        let signal = OutboxSignal::default();
        let writer = TaskTracker::new();
        let store = store::start(&database, signal.clone(), &writer);

        let stock = StockReader::start(Arc::clone(&store), stock_reader::BOUNDS, &writer);
        let events = OrderEvents::new(pipeline(config, Arc::clone(&store)));
        let health = Health::starting().await;
        let (prepared, wait_for_preparation) = watch::channel(false);
        let startup = Startup {
            config: config.clone(),
            database: database.clone(),
            store,
            catalogue,
            prepared,
            health: health.clone(),
            grpc_listen: server.local_addr(),
        };
        let parts = Parts {
            server,
            inventory: InventoryRpc {
                stock,
                prepared: wait_for_preparation.clone(),
            },
            health: health.clone(),
            consumer: consumer(config, &database, events),
            relay: Relay::new(&config.kafka, database.outbox(), database.leases(), signal),
            prepared: wait_for_preparation,
            writer,
            database,
        };
        Ok(Self {
            startup,
            parts,
            health,
            grace: config.shutdown.grace,
        })
    }

    /// The address at which gRPC is served, with the port that was really taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.parts.server.local_addr()
    }

    /// Shows what there is to measure.
    pub fn observe(&self) {
        self.parts.database.observe();
        self.parts.server.connections().observe();
    }

    /// Runs until `shutdown`, or until a part fails; then stops everything in order.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Self {
            startup,
            parts,
            health,
            grace,
        } = self;
        let mut running = parts.start();

        // Biased: a requested stop is no failure, even if a part ends in the same moment. A startup that succeeds
        // leaves the other two waiting.
        let cause = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            error = running.failure() => Err(error),
            Err(error) = startup.run() => Err(RunError::from(error)),
        };

        health.set_ready(false).await;
        let stopped = tokio::time::timeout(grace, running.stop()).await;
        let stopped = stopped.unwrap_or(Err(RunError::Forced(grace)));
        tracing::info!(clean = cause.is_ok() && stopped.is_ok(), "stopped");
        cause.and(stopped)
    }
}

fn consumer(config: &Config, database: &Database, events: OrderEvents) -> Consumer {
    let consumer = ConsumerConfig {
        group: "processing-service",
        topic: topics::ORDER_EVENTS,
        dead_letter_topic: topics::ORDER_EVENTS_DEAD_LETTERS,
        max_in_flight: ORDERS_IN_FLIGHT,
        patience: config.patience,
        trace_processing: config.trace_processing,
        service: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
    };
    let handler = Arc::new(events);
    Consumer::new(&config.kafka, consumer, handler, database.parking())
}

fn pipeline(config: &Config, store: Arc<dyn ProcessingStore>) -> Pipeline {
    Pipeline {
        store,
        gateway: Arc::new(SimulatedGateway::new(config.payment.latency)),
        capture: config.payment.capture,
    }
}
