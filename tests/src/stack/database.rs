//! The PostgreSQL server of a stack: one server, a database per service.
//!
//! It syncs to disk as in production, so that measurements include the cost of durability.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use postgres_server::{Cluster, ServerError};
use tokio::task::spawn_blocking;

use super::{Service, StackError};

/// A cluster in the data directory and its address.
#[derive(Clone, Debug)]
pub(super) struct StackPostgres {
    cluster: Cluster,
    address: SocketAddr,
}

impl StackPostgres {
    /// Opens the cluster below this data directory; created if missing.
    pub(super) async fn open(data_dir: &Path, address: SocketAddr) -> Result<Self, StackError> {
        let directory = data_dir.join("postgres");
        let cluster = blocking(move || Cluster::open(&directory)).await?;
        Ok(Self { cluster, address })
    }

    pub(super) fn program(&self) -> PathBuf {
        self.cluster.program()
    }

    pub(super) fn arguments(&self) -> Vec<String> {
        self.cluster.arguments(self.address.port())
    }

    pub(super) fn run_as(&self) -> Option<(u32, u32)> {
        self.cluster.run_as()
    }

    /// The URL of a service's database.
    pub(super) fn url(&self, service: Service) -> String {
        url(self.address, service)
    }

    /// Creates missing databases; the server must run.
    pub(super) async fn ensure_databases(&self) -> Result<(), StackError> {
        for service in Service::PAIR {
            let Self { cluster, address } = self.clone();
            blocking(move || cluster.ensure_database(address.port(), database(service))).await?;
        }
        Ok(())
    }

    /// Whether the server's own status file says ready. A killed server leaves that file behind, so check its port too.
    pub(super) fn says_ready(&self) -> bool {
        self.cluster.is_ready()
    }
}

/// The URL of a service's database at this address.
pub(super) fn url(address: SocketAddr, service: Service) -> String {
    postgres_server::url(address.port(), database(service))
}

fn database(service: Service) -> &'static str {
    match service {
        Service::Processing => "processing",
        _ => "orders",
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, StackError> {
    match spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        // The task does not panic, so it was cancelled with the whole start.
        Err(_) => Err(StackError::NoPostgres),
    }
}
