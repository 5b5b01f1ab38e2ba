//! The command line options that every use of the local stack shares.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{CatalogueSource, StackConfig};

/// The command line options that every use of the local stack shares.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Stack")]
pub struct StackOptions {
    /// Directory for databases, logs and process files; a later run continues from it.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Use this Kafka broker instead of the embedded one.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,

    /// Send the telemetry of both services to this OTLP collector, for example http://127.0.0.1:4318.
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,

    /// Port of order-service; 0 picks a free one, here and below.
    #[arg(long, value_name = "PORT", default_value_t = 50051)]
    order_port: u16,

    /// Port of processing-service.
    #[arg(long, value_name = "PORT", default_value_t = 50052)]
    processing_port: u16,

    /// Port of the embedded broker.
    #[arg(long, value_name = "PORT", default_value_t = 9092)]
    broker_port: u16,

    /// CSV file `sku,name,opening_stock` of what there is to sell; derived from the replayed orders when not given.
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
}

impl StackOptions {
    /// The directory that was asked for, if any.
    pub fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// What to start: the options, in `data_dir` and with the text `catalogue` where they name none of their own.
    pub fn into_config(self, data_dir: &Path, catalogue: String) -> StackConfig {
        StackConfig {
            data_dir: self.data_dir.unwrap_or_else(|| data_dir.to_owned()),
            order_port: self.order_port,
            processing_port: self.processing_port,
            broker_port: self.broker_port,
            kafka: self.kafka,
            otlp: self.otlp,
            catalogue: self
                .catalogue
                .map_or(CatalogueSource::Text(catalogue), CatalogueSource::File),
            environment: Vec::new(),
        }
    }
}
