//! The parts of the service and how they are put together: [`App::build`] connects and binds, [`App::run`] runs.
//!
//! ```text
//! orders.order.events.v1 ─▶ consumer ─▶ OrderEvents ─▶ Pipeline ─┬▶ SqliteStore ─▶ outbox ─▶ relay ─▶ processing.order.events.v1
//!                                                                └▶ PaymentGateway
//! ```
//!
//! A stop has an order, so that nothing that was begun is lost: not ready → stop reading events → finish those in work
//! and commit their offsets → let the relay finish → stop serving → close the database. All of it together is bounded
//! by the grace period; what it cuts off is repeated after the next start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chassis::consumer::{Consumer, ConsumerConfig, ConsumerError};
use chassis::grpc::{GrpcError, GrpcServer};
use chassis::health::Health;
use chassis::outbox::OutboxSignal;
use chassis::outbox::sqlite::SqliteOutbox;
use chassis::relay::Relay;
use chassis::sqlite::{OpenError, Sqlite};
use proto::topics;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalogue::{Catalogue, CatalogueError};
use crate::config::Config;
use crate::events::OrderEvents;
use crate::payment::simulated::SimulatedGateway;
use crate::steps::Pipeline;
use crate::store::sqlite::{MIGRATIONS, SqliteStore};
use crate::store::{ProcessingStore, StoreError};

mod running;

use running::Running;

/// What is consumed, and how many orders are in work at once. An order in work mostly waits for the payment provider,
/// so there may be many: at 20 ms each, 1,024 of them are 50,000 orders per second, more than any database here takes.
const CONSUMER: ConsumerConfig = ConsumerConfig {
    group: "processing-service",
    topic: topics::ORDER_EVENTS,
    dead_letter_topic: topics::ORDER_EVENTS_DEAD_LETTERS,
    max_in_flight: 1_024,
};

/// The service, connected and bound, with nothing running but the store's writer.
#[derive(Debug)]
pub struct App {
    server: GrpcServer,
    health: Health,
    consumer: Consumer,
    relay: Relay,
    database: Arc<Sqlite>,
    writer: TaskTracker,
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
    /// The stock cannot be seeded.
    #[error("seeding the stock")]
    Seed(#[from] StoreError),
    /// The port cannot be taken.
    #[error("GRPC_LISTEN")]
    Listen(#[from] GrpcError),
}

/// Why the service had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
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
}

impl App {
    /// Loads the catalogue, opens the database, takes the port.
    pub async fn build(config: &Config) -> Result<Self, BuildError> {
        let catalogue = Catalogue::load(&config.catalogue_file)?;
        let server = GrpcServer::bind(&config.grpc).await?;
        let database = Arc::new(Sqlite::open(&config.database_url, &MIGRATIONS).await?);
        let signal = OutboxSignal::default();
        let writer = TaskTracker::new();
        let store = SqliteStore::start(Arc::clone(&database), signal.clone(), &writer);
        let added = store.seed(&catalogue).await?;
        tracing::info!(skus = catalogue.entries().len(), added, "catalogue loaded");

        let outbox = Arc::new(SqliteOutbox::new(Arc::clone(&database)));
        let events = Arc::new(OrderEvents::new(pipeline(config, store)));
        Ok(Self {
            server,
            health: Health::starting().await,
            consumer: Consumer::new(&config.kafka, CONSUMER, events),
            relay: Relay::new(&config.kafka, outbox, signal),
            database,
            writer,
            grace: config.shutdown.grace,
        })
    }

    /// The address at which gRPC is served, with the port that was really taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Runs until `shutdown`, or until a part fails; then stops everything in order.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let grace = self.grace;
        let grpc_listen = self.local_addr();
        let health = self.health.clone();
        let mut running = Running::start(self);
        health.set_ready(true).await;
        tracing::info!(%grpc_listen, "ready");

        let cause = running.until(&shutdown).await;

        health.set_ready(false).await;
        let stopped = tokio::time::timeout(grace, running.stop()).await;
        let stopped = stopped.unwrap_or(Err(RunError::Forced(grace)));
        tracing::info!(clean = cause.is_ok() && stopped.is_ok(), "stopped");
        cause.and(stopped)
    }
}

fn pipeline(config: &Config, store: SqliteStore) -> Pipeline {
    Pipeline {
        store: Arc::new(store),
        gateway: Arc::new(SimulatedGateway::new(config.payment.latency)),
        capture: config.payment.capture,
    }
}
