//! The way from a process that has started to one that is ready. Replicas may go it at the same time.
//!
//! ```text
//! wait for the database ─▶ seed the stock ─▶ let consumer and relay begin ─▶ topics as expected ─▶ ready
//! ```
//!
//! Nothing is consumed before the stock is there: an order that came earlier would be rejected for SKUs that nobody
//! knows yet. Consumer and relay do not wait for the topics: they do what they can, and what they cannot waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::database::{Database, UnusableError};
use chassis::error_chain::ErrorChain;
use chassis::health::Health;
use chassis::topics;
use tokio::sync::watch;

use crate::catalogue::Catalogue;
use crate::config::Config;
use crate::store::{MIGRATIONS, ProcessingStore};
use crate::topics::NEEDED;

/// Waits between attempts to seed. The database has answered a moment before: a failure is short, or for a human to see
/// in the log.
const SEED_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    cap: Duration::from_secs(5),
};

/// What the way needs.
pub(super) struct Startup {
    pub(super) config: Config,
    pub(super) database: Database,
    pub(super) store: Arc<dyn ProcessingStore>,
    pub(super) catalogue: Catalogue,
    pub(super) prepared: watch::Sender<bool>,
    pub(super) health: Health,
    pub(super) grpc_listen: SocketAddr,
}

impl std::fmt::Debug for Startup {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Startup")
            .field("grpc_listen", &self.grpc_listen)
            .finish_non_exhaustive()
    }
}

impl Startup {
    /// Goes the way, for as long as it takes.
    ///
    /// # Errors
    /// [`UnusableError`] for what does not get better by waiting.
    pub(super) async fn run(self) -> Result<(), UnusableError> {
        let service = env!("CARGO_PKG_NAME");
        let Config {
            database,
            kafka,
            topics,
            ..
        } = &self.config;
        self.database.ready(database, MIGRATIONS, service).await?;
        self.seed().await;
        self.prepared.send_replace(true);
        topics::settled(kafka, *topics, &NEEDED).await;
        self.health.set_ready(true).await;
        tracing::info!(grpc_listen = %self.grpc_listen, "ready");
        Ok(())
    }

    async fn seed(&self) {
        for attempt in 1.. {
            match self.store.seed(&self.catalogue).await {
                Ok(added) => {
                    let skus = self.catalogue.entries().len();
                    tracing::info!(skus, added, "stock is seeded");
                    return;
                }
                Err(error) => {
                    tracing::warn!(attempt, error = %ErrorChain(&error), "stock could not be seeded");
                    tokio::time::sleep(SEED_BACKOFF.delay(attempt)).await;
                }
            }
        }
    }
}
