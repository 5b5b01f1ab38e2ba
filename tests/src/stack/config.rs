//! What a stack is told, and where it then listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Process, StackError, ports};

/// The products that processing-service knows.
#[derive(Clone, Debug)]
pub enum CatalogueSource {
    /// A CSV file with the header `sku,name,opening_stock`.
    File(PathBuf),
    /// The text of such a file; the stack keeps it in its data directory.
    Text(String),
}

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Where databases, logs and process files are kept; created when missing.
    pub data_dir: PathBuf,
    /// Port of order-service; 0 picks a free one, here and below.
    pub order_port: u16,
    /// Port of processing-service.
    pub processing_port: u16,
    /// Port of the embedded broker.
    pub broker_port: u16,
    /// A Kafka broker to use instead of the embedded one.
    pub kafka: Option<String>,
    /// An OTLP collector for the telemetry of both services.
    pub otlp: Option<String>,
    /// What there is to sell.
    pub catalogue: CatalogueSource,
    /// Further environment variables of single processes; they win over what the stack sets.
    pub environment: Vec<(Process, String, String)>,
}

impl StackConfig {
    /// A stack in `data_dir` with ports picked and everything else as by default.
    pub fn on_free_ports(data_dir: impl Into<PathBuf>, catalogue: CatalogueSource) -> Self {
        Self {
            data_dir: data_dir.into(),
            order_port: 0,
            processing_port: 0,
            broker_port: 0,
            kafka: None,
            otlp: None,
            catalogue,
            environment: Vec::new(),
        }
    }

    pub(super) fn environment_of(
        &self,
        process: Process,
    ) -> impl Iterator<Item = (String, String)> {
        self.environment
            .iter()
            .filter(move |(owner, _, _)| *owner == process)
            .map(|(_, name, value)| (name.clone(), value.clone()))
    }

    /// Settles the ports, or says which one is taken.
    pub(super) fn choose_addresses(&self) -> Result<Addresses, StackError> {
        Ok(Addresses {
            orders: ports::choose(Process::Orders, self.order_port)?,
            processing: ports::choose(Process::Processing, self.processing_port)?,
            kafka: match &self.kafka {
                Some(address) => address.clone(),
                None => ports::choose(Process::Broker, self.broker_port)?.to_string(),
            },
        })
    }
}

/// Where the processes of a stack listen.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// order-service, gRPC.
    pub orders: SocketAddr,
    /// processing-service, gRPC.
    pub processing: SocketAddr,
    /// The Kafka broker, embedded or not.
    pub kafka: String,
}
