//! Telemetry: JSON log lines on stdout; traces, metrics and logs over OTLP if an endpoint is configured.
//!
//! Trace ids exist without an endpoint as well, so that log lines and events can be correlated with the trace of a caller.
//!
//! Reading order: [`vocabulary`] defines attributes, metrics and spans, and [`names`] lists them; [`span`] and
//! [`instruments`] create telemetry from them; `sampling` decides which traces are recorded; `providers` exports them.
//! [`process`] has the metrics of the process itself.
//!
//! Global state: the log subscriber, the tracer and the meter provider belong to the process, as in the OpenTelemetry API,
//! and [`Telemetry::start`] sets each of them once. Without it, spans and metrics are no-ops. Passing them by value would
//! add a parameter to every function that emits telemetry.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, global};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

use service::ServiceIdentity;
use service::command_line::ExitError;
use service::config::{FromSetting, Settings};

pub mod names;
pub mod vocabulary;

pub mod instruments;
pub mod propagation;
pub mod reading;
mod sampling;
pub mod span;

mod json;
pub mod process;
mod providers;

pub use opentelemetry_otlp::ExporterBuildError;
pub use sampling::SamplingRatio;

use sampling::LinkAwareParentBased;

/// Timeout of the final flush of spans, metrics and logs together.
const FLUSH: Duration = Duration::from_secs(5);

/// Without the logs of the client libraries: exporting those would produce more of them.
const NOT_EXPORTED: &str =
    "info,h2=off,hyper=off,hyper_util=off,opentelemetry=off,reqwest=off,tonic=off,tower=off";

/// The instrumentation scope of all spans and metrics, with the version of the conventions.
static SCOPE: LazyLock<InstrumentationScope> = LazyLock::new(|| {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(opentelemetry_semantic_conventions::SCHEMA_URL)
        .build()
});

/// Settings of logging and export.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    pub filter: LogFilter,
    /// Base URL of an OTLP/HTTP receiver; without it nothing is exported.
    pub otlp_endpoint: Option<String>,
    /// For traces that start in this process.
    pub sampling: SamplingRatio,
}

impl TelemetryConfig {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        Self {
            filter: settings.value(
                "LOG_FILTER",
                "info",
                "log filter, for example `info` or `info,consumer=debug`",
            ),
            otlp_endpoint: settings.optional(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "base URL of an OTLP/HTTP receiver, for example http://127.0.0.1:4318; unset: nothing is exported",
            ),
            sampling: settings.value(
                "OTEL_TRACES_SAMPLER_ARG",
                "0.1",
                "sampling ratio of traces that start here, from 0 to 1; for other traces the decision of the caller applies",
            ),
        }
    }
}

/// A valid `EnvFilter` directive.
#[derive(Clone, Debug)]
pub struct LogFilter(String);

impl FromSetting for LogFilter {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text.parse::<EnvFilter>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err("a filter such as info or info,consumer=debug".to_owned()),
        }
    }
}

/// The telemetry of this process.
#[derive(Debug)]
pub struct Telemetry {
    tracer: SdkTracerProvider,
    /// Only with an endpoint: otherwise there is no reader.
    metrics: Option<SdkMeterProvider>,
    logger: Option<SdkLoggerProvider>,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The endpoint is not a URL, or the HTTP client cannot be created.
    #[error("setting up the OTLP exporter")]
    Exporter(#[from] ExporterBuildError),
    /// This process already has a subscriber.
    #[error("installing the log subscriber")]
    Subscriber(#[from] TryInitError),
}

impl From<TelemetryError> for ExitError {
    fn from(error: TelemetryError) -> Self {
        Self::failed(error)
    }
}

impl Telemetry {
    /// Starts logging, traces and metrics of the process. Call it first: instruments created earlier are no-ops.
    pub fn start(
        config: &TelemetryConfig,
        identity: ServiceIdentity,
    ) -> Result<Self, TelemetryError> {
        let endpoint = config
            .otlp_endpoint
            .as_deref()
            .map(|url| url.trim_end_matches('/'));
        let resource = providers::resource(identity);
        let tracer = providers::tracer(endpoint, resource.clone(), config.sampling)?;
        let metrics = endpoint
            .map(|url| providers::meter(url, resource.clone()))
            .transpose()?;
        let logger = endpoint
            .map(|url| providers::logger(url, resource))
            .transpose()?;
        start_logging(&config.filter, logger.as_ref())?;
        log_panics();
        use_providers(&tracer, metrics.as_ref());
        Ok(Self {
            tracer,
            metrics,
            logger,
        })
    }

    /// Flushes all telemetry. The last step of a shutdown, because every other step can emit some.
    ///
    /// Blocks for up to five seconds, so call it outside of a runtime. The exporters have their own threads and do not
    /// need one.
    pub fn shutdown(self) {
        let deadline = Instant::now() + FLUSH;
        let left = || deadline.saturating_duration_since(Instant::now());
        // An unreachable receiver does not fail a shutdown, and there is nowhere left to report it.
        let _ = self.tracer.shutdown_with_timeout(left());
        if let Some(metrics) = self.metrics {
            let _ = metrics.shutdown_with_timeout(left());
        }
        if let Some(logger) = self.logger {
            let _ = logger.shutdown_with_timeout(left());
        }
    }
}

/// Logs to stdout and, if there is one, to the receiver.
fn start_logging(
    filter: &LogFilter,
    logger: Option<&SdkLoggerProvider>,
) -> Result<(), TryInitError> {
    let exported = logger.map(|logger| {
        OpenTelemetryTracingBridge::new(logger).with_filter(EnvFilter::new(NOT_EXPORTED))
    });
    tracing_subscriber::registry()
        .with(EnvFilter::new(&filter.0))
        .with(exported)
        .with(json::layer())
        .try_init()
}

/// Logs every panic as an error, in whatever task or thread, and whether it is caught or not: the default hook writes only to
/// stderr, which is not JSON. What a panic ends besides is decided where its task is joined.
fn log_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default(panic);
        let thread = std::thread::current();
        tracing::error!(
            thread = thread.name(),
            location = panic.location().map(tracing::field::display),
            said = panic.payload_as_str(),
            "panic"
        );
    }));
}

/// Sets the providers of the process. [`Telemetry::start`] calls it once; public for tests with in-memory exporters.
pub fn use_providers(tracer: &SdkTracerProvider, metrics: Option<&SdkMeterProvider>) {
    span::use_tracer(tracer.tracer_with_scope(SCOPE.clone()));
    if let Some(metrics) = metrics {
        global::set_meter_provider(metrics.clone());
    }
}

/// A tracer provider with the sampler of a service.
pub fn tracer_provider(ratio: SamplingRatio) -> TracerProviderBuilder {
    SdkTracerProvider::builder().with_sampler(LinkAwareParentBased::new(ratio))
}

#[cfg(any(test, feature = "testing"))]
pub mod testing;
