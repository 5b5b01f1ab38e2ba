//! Telemetry: JSON lines on stdout always; traces, metrics and logs over OTLP when an endpoint is configured.
//!
//! Trace ids exist in either case, so that a log line, an event and a caller's own trace can be brought together.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{MeterProvider as _, NoopMeterProvider};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};
use uuid::Uuid;

use crate::config::{FromSetting, Settings};

pub use opentelemetry::metrics::Meter;

mod json;

/// How long the last spans and logs may take to leave when the service stops.
const FLUSH: Duration = Duration::from_secs(3);

/// The client libraries' own messages: exporting them would cause more of them.
const NOT_EXPORTED: &str =
    "info,h2=off,hyper=off,hyper_util=off,opentelemetry=off,reqwest=off,tonic=off,tower=off";

/// What is logged and where telemetry goes.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Which events are logged.
    pub filter: LogFilter,
    /// Base URL of an OTLP/HTTP receiver.
    pub otlp_endpoint: Option<String>,
}

impl TelemetryConfig {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        Self {
            filter: settings.value(
                "LOG_FILTER",
                "info",
                "what is logged, for example `info` or `info,chassis=debug`",
            ),
            otlp_endpoint: settings.optional(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "base URL of an OTLP/HTTP receiver, for example http://127.0.0.1:4318; unset: nothing is exported",
            ),
        }
    }
}

/// A filter that is known to parse.
#[derive(Clone, Debug)]
pub struct LogFilter(String);

impl FromSetting for LogFilter {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text.parse::<EnvFilter>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err("a filter such as info or info,chassis=debug".to_owned()),
        }
    }
}

/// Who speaks: the same for all instances of a service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceIdentity {
    /// `service.name`.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
}

/// Telemetry of this process.
#[derive(Debug)]
pub struct Telemetry {
    tracer: SdkTracerProvider,
    /// Without an endpoint nobody reads the instruments.
    metrics: Option<SdkMeterProvider>,
    logger: Option<SdkLoggerProvider>,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The endpoint is no URL, or the HTTP client could not be made.
    #[error("setting up the OTLP exporter")]
    Exporter(#[from] ExporterBuildError),
    /// Something else in this process has set up logging.
    #[error("installing the log subscriber")]
    Subscriber(#[from] TryInitError),
}

impl Telemetry {
    /// Starts logging and tracing for the whole process.
    pub fn start(
        config: &TelemetryConfig,
        identity: ServiceIdentity,
    ) -> Result<Self, TelemetryError> {
        let endpoint = config
            .otlp_endpoint
            .as_deref()
            .map(|url| url.trim_end_matches('/'));
        let resource = resource(identity);
        let tracer = tracer_provider(endpoint, resource.clone())?;
        let metrics = endpoint
            .map(|url| meter_provider(url, resource.clone()))
            .transpose()?;
        let logger = endpoint
            .map(|url| logger_provider(url, resource))
            .transpose()?;
        let exported = logger.as_ref().map(|logger| {
            OpenTelemetryTracingBridge::new(logger).with_filter(EnvFilter::new(NOT_EXPORTED))
        });
        tracing_subscriber::registry()
            .with(EnvFilter::new(&config.filter.0))
            .with(tracing_opentelemetry::layer().with_tracer(tracer.tracer(identity.name)))
            .with(exported)
            .with(json::layer())
            .try_init()?;
        Ok(Self {
            tracer,
            metrics,
            logger,
        })
    }

    /// What instruments are made from.
    pub fn meter(&self) -> Meter {
        match &self.metrics {
            Some(metrics) => metrics.meter("chassis"),
            // One with a reader missing would complain of every instrument.
            None => NoopMeterProvider::new().meter("chassis"),
        }
    }

    /// Sends what is left. The last step of a shutdown, after everything that could still say something.
    ///
    /// Blocks for up to three seconds per signal: call it where that is allowed.
    pub fn shutdown(self) {
        // A receiver that is away is no reason to fail a stop, and there is nowhere left to report it.
        let _ = self.tracer.shutdown_with_timeout(FLUSH);
        if let Some(metrics) = self.metrics {
            let _ = metrics.shutdown_with_timeout(FLUSH);
        }
        if let Some(logger) = self.logger {
            let _ = logger.shutdown_with_timeout(FLUSH);
        }
    }
}

fn resource(identity: ServiceIdentity) -> Resource {
    // The builder adds OTEL_RESOURCE_ATTRIBUTES, which a pod fills from the downward API.
    Resource::builder()
        .with_service_name(identity.name)
        .with_attributes([
            KeyValue::new("service.version", identity.version),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        ])
        .build()
}

fn tracer_provider(
    endpoint: Option<&str>,
    resource: Resource,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let mut provider = SdkTracerProvider::builder().with_resource(resource);
    if let Some(url) = endpoint {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{url}/v1/traces"))
            .build()?;
        provider = provider.with_batch_exporter(exporter);
    }
    Ok(provider.build())
}

fn meter_provider(url: &str, resource: Resource) -> Result<SdkMeterProvider, ExporterBuildError> {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{url}/v1/metrics"))
        .build()?;
    Ok(SdkMeterProvider::builder()
        .with_resource(resource)
        .with_periodic_exporter(exporter)
        .build())
}

fn logger_provider(url: &str, resource: Resource) -> Result<SdkLoggerProvider, ExporterBuildError> {
    let exporter = LogExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{url}/v1/logs"))
        .build()?;
    Ok(SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build())
}
