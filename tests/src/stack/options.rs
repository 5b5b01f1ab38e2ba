//! Command line options shared by `up` and `demo`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use super::{BrokerEngine, CatalogueSource, DatabaseEngine, Engines, StackConfig};

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Stack")]
pub struct StackOptions {
    /// Directory for databases, logs and process files; a later run continues from it.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// The Kafka broker: `embedded`, `apache` for Apache Kafka (see `make apache-kafka`), or HOST:PORT of a running
    /// one. There, topics are created with KAFKA_TOPIC_REPLICATION and KAFKA_TOPIC_MIN_INSYNC.
    #[arg(long, value_name = "BROKER", default_value_t = BrokerEngine::Embedded)]
    kafka: BrokerEngine,

    /// The databases: SQLite files, or a PostgreSQL server from the installed binaries.
    #[arg(long, value_enum, default_value = "sqlite")]
    database: DatabaseEngine,

    /// Replicas of each service; more than one requires PostgreSQL and a broker other than the embedded one.
    #[arg(long, value_name = "N", default_value_t = 1)]
    replicas: u16,

    /// Send the telemetry of both services to this OTLP collector, for example http://127.0.0.1:4318. The trace of an
    /// order is then shown there, not here.
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,

    /// Sampling ratio of traces, from 0 to 1 [default: all; in a demo about 200 orders].
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    sampling: Option<f64>,

    /// Port of order-service; 0 picks a free one, here and below. Further replicas get free ports.
    #[arg(long, value_name = "PORT", default_value_t = 50051)]
    order_port: u16,

    /// Port of processing-service.
    #[arg(long, value_name = "PORT", default_value_t = 50052)]
    processing_port: u16,

    /// Port of the broker.
    #[arg(long, value_name = "PORT", default_value_t = 9092)]
    broker_port: u16,

    /// Port of the PostgreSQL server.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    database_port: u16,

    /// Catalogue as a CSV file `sku,name,opening_stock` [default: derived from the replayed orders].
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
}

impl StackOptions {
    /// The requested directory, if any.
    pub fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// The configuration, with `data_dir` and `catalogue` as defaults.
    pub fn into_config(self, data_dir: &Path, catalogue: String) -> StackConfig {
        let data_dir = self.data_dir.unwrap_or_else(|| data_dir.to_owned());
        let catalogue = self
            .catalogue
            .map_or(CatalogueSource::Text(catalogue), CatalogueSource::File);
        StackConfig {
            engines: Engines {
                broker: self.kafka,
                database: self.database,
                replicas: self.replicas,
            },
            order_port: self.order_port,
            processing_port: self.processing_port,
            broker_port: self.broker_port,
            database_port: self.database_port,
            otlp: self.otlp,
            sampling: self.sampling,
            ..StackConfig::on_free_ports(data_dir, catalogue)
        }
    }
}

fn ratio(text: &str) -> Result<f64> {
    let ratio: f64 = text.parse().context("expected a number")?;
    ensure!(
        (0.0..=1.0).contains(&ratio),
        "expected a number from 0 to 1"
    );
    Ok(ratio)
}
