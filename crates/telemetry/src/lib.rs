//! Telemetry: JSON lines on stdout always; traces, metrics and logs over OTLP when an endpoint is configured.
//!
//! Trace ids exist in either case, so that a log line, an event and a caller's own trace can be brought together.
//!
//! Reading order: [`vocabulary`] says what a name means and [`names`] has them all; [`span`] and [`instruments`] make
//! what is emitted from them, and `sampling` says which traces are recorded; `providers` sends them away. [`process`]
//! measures the process itself.

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

/// How long the last spans, metrics and logs may take to leave when the service stops, all together.
const FLUSH: Duration = Duration::from_secs(5);

/// The client libraries' own messages: exporting them would cause more of them.
const NOT_EXPORTED: &str =
    "info,h2=off,hyper=off,hyper_util=off,opentelemetry=off,reqwest=off,tonic=off,tower=off";

/// Who makes spans and instruments here, and in which version of the conventions.
static SCOPE: LazyLock<InstrumentationScope> = LazyLock::new(|| {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(opentelemetry_semantic_conventions::SCHEMA_URL)
        .build()
});

/// What is logged and where telemetry goes.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Which events are logged.
    pub filter: LogFilter,
    /// Base URL of an OTLP/HTTP receiver.
    pub otlp_endpoint: Option<String>,
    /// Which of the traces that begin here are recorded.
    pub sampling: SamplingRatio,
}

impl TelemetryConfig {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        Self {
            filter: settings.value(
                "LOG_FILTER",
                "info",
                "what is logged, for example `info` or `info,consumer=debug`",
            ),
            otlp_endpoint: settings.optional(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "base URL of an OTLP/HTTP receiver, for example http://127.0.0.1:4318; unset: nothing is exported",
            ),
            sampling: settings.value(
                "OTEL_TRACES_SAMPLER_ARG",
                "0.1",
                "part of the traces that is recorded, from 0 to 1; a caller that sends a trace has decided itself",
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
            Err(_) => Err("a filter such as info or info,consumer=debug".to_owned()),
        }
    }
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

impl From<TelemetryError> for ExitError {
    fn from(error: TelemetryError) -> Self {
        Self::failed(error)
    }
}

impl Telemetry {
    /// Starts logging, tracing and measuring for the whole process: before anything is made that does one of them.
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
        use_providers(&tracer, metrics.as_ref());
        Ok(Self {
            tracer,
            metrics,
            logger,
        })
    }

    /// Sends what is left. The last step of a shutdown, after everything that could still say something.
    ///
    /// Blocks for up to five seconds: call it where that is allowed, and outside of a runtime. The exporters have threads
    /// of their own, so that it also works when the runtime had only one.
    pub fn shutdown(self) {
        let deadline = Instant::now() + FLUSH;
        let left = || deadline.saturating_duration_since(Instant::now());
        // A receiver that is away is no reason to fail a stop, and there is nowhere left to report it.
        let _ = self.tracer.shutdown_with_timeout(left());
        if let Some(metrics) = self.metrics {
            let _ = metrics.shutdown_with_timeout(left());
        }
        if let Some(logger) = self.logger {
            let _ = logger.shutdown_with_timeout(left());
        }
    }
}

/// Logs to stdout what the filter lets through, and the same to the receiver.
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

/// Makes all spans and instruments of this process come from these. Called once, by [`Telemetry::start`]; public for
/// tests, which bring providers that keep what they get.
pub fn use_providers(tracer: &SdkTracerProvider, metrics: Option<&SdkMeterProvider>) {
    span::use_tracer(tracer.tracer_with_scope(SCOPE.clone()));
    if let Some(metrics) = metrics {
        global::set_meter_provider(metrics.clone());
    }
}

/// A tracer provider that samples as a service does.
pub fn tracer_provider(ratio: SamplingRatio) -> TracerProviderBuilder {
    SdkTracerProvider::builder().with_sampler(LinkAwareParentBased::new(ratio))
}

#[cfg(any(test, feature = "testing"))]
pub mod testing;
