//! The service as a whole: `build` connects and binds, `run` works until it is told to stop.
//!
//! ```text
//!  OrderRpc ──▶ place, cancel ─┐                     ┌─▶ Watchers ──▶ WatchOrder
//!                              ├──▶ OrderStore ──────┤
//!  Consumer ──▶ apply ─────────┘    (one database)   └─▶ outbox ──▶ Relay ──▶ Kafka
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use chassis::consumer::ConsumerError;
use chassis::grpc::{GrpcError, GrpcServer};
use chassis::health::Health;
use chassis::sqlite::{OpenError, Sqlite};
use thiserror::Error;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::store::sqlite::MIGRATOR;

mod running;

use running::Running;

/// The service, connected and bound; nothing runs yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    database: Arc<Sqlite>,
    server: GrpcServer,
    health: Health,
}

/// Why the service cannot start.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The database cannot be used.
    #[error("the order database")]
    Database(#[from] OpenError),
    /// The address cannot be used.
    #[error("the gRPC server")]
    Server(#[from] GrpcError),
}

/// Why the service stopped, other than by request.
#[derive(Debug, Error)]
pub enum RunError {
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
}

impl App {
    /// Opens the database and takes the port. Kafka is not needed to start, nor to take orders.
    ///
    /// # Errors
    /// [`BuildError`] when one of the two cannot be had.
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        let database = Sqlite::open(&config.database, &MIGRATOR).await?;
        let server = GrpcServer::bind(&config.grpc).await?;
        Ok(Self {
            config,
            database: Arc::new(database),
            server,
            health: Health::starting().await,
        })
    }

    /// The address that the API is served on.
    pub fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves until `shutdown`, or until a component fails, and then stops in order:
    ///
    /// 1. not ready, so that no new calls are routed here;
    /// 2. intake ends: calls in work are answered, streams end with UNAVAILABLE, the consumer drains and leaves;
    /// 3. the writers commit what was submitted;
    /// 4. the relay waits for its last acknowledgements;
    /// 5. the database is closed.
    ///
    /// All steps together are bounded by the grace period.
    ///
    /// # Errors
    /// [`RunError`] when a component failed or the stop was forced.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let grace = self.config.shutdown.grace;
        let health = self.health.clone();
        let grpc_listen = self.local_addr();
        let mut running = Running::start(self);
        health.set_ready(true).await;
        tracing::info!(%grpc_listen, "ready");

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
