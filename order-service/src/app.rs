//! The service as a whole: `build` opens and binds, `run` works until it is told to stop.
//!
//! ```text
//!  Inventory (asked)   Admission (watches the outbox)
//!      ▲                 ▲
//!  OrderRpc ──▶ place, cancel ─┐                     ┌─▶ Watchers ──▶ WatchOrder
//!                              ├──▶ OrderStore ──────┤
//!  Consumer ──▶ apply ─────────┘    (one database)   └─▶ outbox ──▶ Relay ──▶ Kafka
//! ```

use std::net::SocketAddr;

use chassis::auth::{AuthError, Authentication};
use chassis::consumer::ConsumerError;
use chassis::crash_points::Injected;
use chassis::database::{Database, OpenError, UnusableError};
use chassis::grpc::{GrpcError, GrpcServer};
use chassis::health::Health;
use thiserror::Error;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::inventory::{Inventory, InventoryError, InventoryUpkeep};
use crate::store::MIGRATIONS;

mod running;

use running::Running;

/// The service, opened and bound; nothing runs yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    database: Database,
    server: GrpcServer,
    authentication: Authentication,
    inventory: Inventory,
    inventory_upkeep: Option<InventoryUpkeep>,
    health: Health,
}

/// Why the service cannot start.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The database cannot be used.
    #[error("the order database")]
    Database(#[from] OpenError),
    /// The keys of the issuer cannot be used.
    #[error("authentication")]
    Authentication(#[from] AuthError),
    /// Processing-service cannot be asked.
    #[error("PROCESSING_ADDRESS")]
    Inventory(#[from] InventoryError),
    /// The address cannot be used.
    #[error("the gRPC server")]
    Server(#[from] GrpcError),
}

/// Why the service stopped, other than by request.
#[derive(Debug, Error)]
pub enum RunError {
    /// The database is not one that this service can use, and waiting would not change that.
    #[error("the order database")]
    Database(#[from] UnusableError),
    /// The gRPC server failed.
    #[error("the gRPC server failed")]
    Server(#[from] GrpcError),
    /// The consumer of outcomes failed.
    #[error("the consumer of outcomes failed")]
    Consumer(#[from] ConsumerError),
    /// A component panicked or was aborted.
    #[error("a component died")]
    Died(#[from] JoinError),
    /// A component ended although nobody asked it to.
    #[error("a component ended by itself")]
    EndedEarly,
    /// Not everything was done within the grace period. Nothing confirmed is lost by that.
    #[error("the grace period ended before the work did")]
    Forced,
    /// A step of the stop failed.
    #[error("a step of the stop failed")]
    Stop(#[from] Injected),
}

impl App {
    /// Opens the database, reads the keys of the issuer and takes the port. Neither a database server nor Kafka nor the
    /// issuer has to be there yet.
    ///
    /// # Errors
    /// [`BuildError`] when one of the three cannot be had, or the certificates for asking processing-service cannot.
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        let database = Database::open(&config.database, MIGRATIONS).await?;
        let authentication =
            Authentication::load(config.auth.as_ref(), env!("CARGO_PKG_NAME")).await?;
        let (inventory, inventory_upkeep) = Inventory::new(&config.inventory)?;
        let server = GrpcServer::bind(&config.grpc, env!("CARGO_PKG_NAME")).await?;
        Ok(Self {
            config,
            database,
            server: server.authenticated(authentication.layer()),
            authentication,
            inventory,
            inventory_upkeep,
            health: Health::starting().await,
        })
    }

    /// The address that the API is served on.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Shows what there is to measure.
    pub fn observe(&self) {
        self.database.observe();
        self.server.connections().observe();
        self.inventory.observe();
    }

    /// Serves until `shutdown`, or until a component fails. It starts in order:
    ///
    /// 1. the API answers, not ready: reads and writes fail with UNAVAILABLE while the database is away;
    /// 2. when the database answers and its schema is new enough, the consumer and the relay start;
    /// 3. ready, as far as Kafka does not say that a topic is missing.
    ///
    /// And stops in order:
    ///
    /// 1. not ready, so that no new calls are routed here;
    /// 2. intake ends: calls in work are answered, streams end with UNAVAILABLE, the consumer drains and leaves;
    /// 3. the writers commit what was submitted;
    /// 4. the relay waits for its last acknowledgements;
    /// 5. the database is closed.
    ///
    /// All steps of the stop together are bounded by the grace period.
    ///
    /// # Errors
    /// [`RunError`] when a component failed or the stop was forced.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let grace = self.config.shutdown.grace;
        let health = self.health.clone();
        let mut running = Running::start(self);

        // Biased: a requested stop is no failure, even if a component ends in the same moment.
        let outcome = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            failure = running.failure() => Err(failure),
        };

        health.set_ready(false).await;
        let stopped = running.stop(grace).await;
        tracing::info!(clean = stopped.is_ok() && outcome.is_ok(), "stopped");
        outcome.and(stopped)
    }
}
