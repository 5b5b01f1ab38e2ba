//! The PostgreSQL server of a stack: one server, a database per service; and the standby that takes over from it.
//!
//! It syncs to disk as in production, so that measurements include the cost of durability.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use postgres_server::{Cluster, ServerError};
use tokio::task::spawn_blocking;

use super::{Process, Service, StackError};

/// The servers of a stack: the primary, and in a stack with proxies a place for its standby.
#[derive(Clone, Debug)]
pub(super) struct StackPostgres {
    servers: Vec<PostgresServer>,
    /// The index of the primary.
    primary: Arc<AtomicUsize>,
}

/// A cluster in the data directory and its address.
#[derive(Clone, Debug)]
struct PostgresServer {
    cluster: Cluster,
    address: SocketAddr,
}

impl StackPostgres {
    /// Opens the cluster below this data directory; created if missing.
    pub(super) async fn open(
        data_dir: &Path,
        address: SocketAddr,
        standby: Option<SocketAddr>,
    ) -> Result<Self, StackError> {
        let (directory, other) = (data_dir.join("postgres"), data_dir.join("postgres-2"));
        let cluster = blocking(move || Cluster::open(&directory)).await?;
        let mut servers = vec![PostgresServer { cluster, address }];
        if let Some(address) = standby {
            let cluster = Cluster::at(&other)?;
            servers.push(PostgresServer { cluster, address });
        }
        Ok(Self {
            servers,
            primary: Arc::default(),
        })
    }

    /// The process of the primary.
    pub(super) fn primary(&self) -> Process {
        Process::database(self.primary.load(Ordering::Relaxed))
    }

    /// The process of the standby, or of the server that was the primary before the last failover.
    ///
    /// # Errors
    /// When the stack has no proxies, so that the services could not reach another server.
    pub(super) fn standby(&self) -> Result<Process, StackError> {
        let others = (0..self.servers.len()).map(Process::database);
        let mut others = others.filter(|process| *process != self.primary());
        others.next().ok_or(StackError::NoStandby)
    }

    /// Makes the files of the standby a copy of the primary, which runs; the standby does not.
    pub(super) async fn copy_primary(&self) -> Result<(), StackError> {
        let primary = self.of(self.primary()).address.port();
        let standby = self.of(self.standby()?).clone();
        blocking(move || standby.cluster.copy_primary(primary)).await
    }

    /// Makes the primary read-only and promotes the standby once it has everything. Both run, and go on running. Returns
    /// the address of the new primary.
    pub(super) async fn promote_standby(&self) -> Result<SocketAddr, StackError> {
        let standby = self.standby()?;
        let (old, new) = (self.of(self.primary()).clone(), self.of(standby).clone());
        let (from, to) = (old.address.port(), new.address.port());
        blocking(move || {
            old.cluster.set_read_only(from, true)?;
            old.cluster.until_followed(from, to)?;
            new.cluster.promote(to)
        })
        .await?;
        self.primary.store(standby.index(), Ordering::Relaxed);
        Ok(self.of(standby).address)
    }

    pub(super) fn program(&self, process: Process) -> PathBuf {
        self.of(process).cluster.program()
    }

    pub(super) fn arguments(&self, process: Process) -> Vec<String> {
        let server = self.of(process);
        server.cluster.arguments(server.address.port())
    }

    pub(super) fn run_as(&self, process: Process) -> Option<(u32, u32)> {
        self.of(process).cluster.run_as()
    }

    /// The URL of a service's database on the primary.
    pub(super) fn url(&self, service: Service) -> String {
        url(self.of(self.primary()).address, service)
    }

    /// Creates missing databases; the server must run.
    pub(super) async fn ensure_databases(&self) -> Result<(), StackError> {
        for service in Service::PAIR {
            let PostgresServer { cluster, address } = self.of(self.primary()).clone();
            blocking(move || cluster.ensure_database(address.port(), database(service))).await?;
        }
        Ok(())
    }

    pub(super) fn address(&self, process: Process) -> SocketAddr {
        self.of(process).address
    }

    /// Whether the server's own status file says ready. A killed server leaves that file behind, so check its port too.
    pub(super) fn says_ready(&self, process: Process) -> bool {
        self.of(process).cluster.is_ready()
    }

    fn of(&self, process: Process) -> &PostgresServer {
        &self.servers[process.index()]
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
