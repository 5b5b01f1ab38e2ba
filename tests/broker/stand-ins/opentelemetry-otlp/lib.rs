//! An exporter that cannot be built: the embedded broker exports no metrics.

use std::convert::Infallible;
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use thiserror::Error;

/// The error of every build.
#[derive(Debug, Error)]
#[error("this build exports no metrics")]
pub struct ExporterBuildError;

/// The protocol of an exporter.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// Protobuf over HTTP.
    HttpBinary,
}

/// The settings of an exporter.
#[derive(Debug)]
pub struct Builder;

/// The settings of an exporter.
pub trait WithExportConfig: Sized {
    /// Sets the protocol.
    #[must_use]
    fn with_protocol(self, _protocol: Protocol) -> Self {
        self
    }

    /// Sets the address.
    #[must_use]
    fn with_endpoint(self, _endpoint: impl Into<String>) -> Self {
        self
    }
}

impl WithExportConfig for Builder {}

impl Builder {
    /// Over HTTP.
    #[must_use]
    pub fn with_http(self) -> Self {
        self
    }

    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub fn build(self) -> Result<MetricExporter, ExporterBuildError> {
        Err(ExporterBuildError)
    }
}

/// An exporter; no value of it exists.
#[derive(Debug)]
pub struct MetricExporter(Infallible);

impl MetricExporter {
    /// The settings of one.
    pub fn builder() -> Builder {
        Builder
    }
}

impl PushMetricExporter for MetricExporter {
    async fn export(&self, _metrics: &ResourceMetrics) -> OTelSdkResult {
        match self.0 {}
    }

    fn force_flush(&self) -> OTelSdkResult {
        match self.0 {}
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        match self.0 {}
    }

    fn temporality(&self) -> Temporality {
        match self.0 {}
    }
}
