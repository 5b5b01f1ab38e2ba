//! Telemetry: JSON log lines on stdout; traces, metrics and logs over OTLP if an endpoint is configured ([`TelemetryConfig`]).
//!
//! Trace ids exist without an endpoint as well, so that log lines and events can be correlated with the trace of a caller.
//!
//! Reading order: [`vocabulary`] defines attributes, metrics and spans, and [`names`] lists them; [`span`] and
//! [`instruments`] create telemetry from them; `sampling` decides which traces are recorded; `providers` exports them;
//! `log_writer` writes log lines without blocking. [`process`] has the metrics of the process itself.
//!
//! Global state: the log subscriber, the tracer and the meter provider belong to the process, as in the OpenTelemetry API,
//! and [`Telemetry::start`] sets each of them once. Without it, spans and metrics are no-ops. Passing them by value would
//! add a parameter to every function that emits telemetry.

use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
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

pub mod names;
pub mod vocabulary;

pub mod instruments;
pub mod propagation;
pub mod reading;
mod sampling;
pub mod span;

mod config;
mod json;
mod log_writer;
mod panics;
pub mod process;
mod providers;

pub use config::TelemetryConfig;
pub use opentelemetry_otlp::ExporterBuildError;
pub use sampling::SamplingRatio;

use config::LogFilter;
use log_writer::LogWriter;
use names::metrics;
use sampling::LinkAwareParentBased;
use vocabulary::Labels;

/// Timeout of the final flush of spans, metrics and logs together.
const FLUSH: Duration = Duration::from_secs(5);

/// Range of the time for the last log lines: what is left of [`FLUSH`]. Stdout has had the whole flush to take them, and
/// if nobody reads it, waiting does not help.
const LAST_LINES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

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

/// The telemetry of this process.
#[derive(Debug)]
pub struct Telemetry {
    tracer: SdkTracerProvider,
    /// Only with an endpoint: otherwise there is no reader.
    metrics: Option<SdkMeterProvider>,
    logger: Option<SdkLoggerProvider>,
    lines: Arc<LogWriter>,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The HTTP client cannot be created.
    #[error("setting up the OTLP exporter")]
    Exporter(#[from] ExporterBuildError),
    #[error("starting the log writer")]
    LogWriter(#[from] std::io::Error),
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
        let export = &config.export;
        let resource = config.resource.resource(identity);
        let tracer = providers::tracer(export, resource.clone(), config.sampling)?;
        let meter = |receiver| providers::meter(export, receiver, resource.clone());
        let metrics = export.metrics.as_ref().map(meter).transpose()?;
        let logger = |receiver| providers::logger(export, receiver, resource.clone());
        let logger = export.logs.as_ref().map(logger).transpose()?;
        let lines = LogWriter::stdout()?;
        start_logging(&config.filter, &lines, logger.as_ref())?;
        use_providers(&tracer, metrics.as_ref());
        propagation::use_policy(config.trace_state);
        observe_lines(&lines);
        warn_of(&config.without_effect);
        Ok(Self {
            tracer,
            metrics,
            logger,
            lines,
        })
    }

    /// Flushes all telemetry. The last step of a shutdown, because every other step can emit some.
    ///
    /// Blocks for up to five seconds, so call it outside of a runtime. The exporters have their own threads and do not
    /// need one.
    pub fn shutdown(self) {
        let Self {
            tracer,
            metrics,
            logger,
            lines,
        } = self;
        let deadline = Instant::now() + FLUSH;
        // An unreachable receiver does not fail a shutdown, and there is nowhere left to report it.
        let mut flushes: Vec<FinalFlush> =
            vec![Box::new(move || drop(tracer.shutdown_with_timeout(FLUSH)))];
        if let Some(metrics) = metrics {
            flushes.push(Box::new(move || drop(metrics.shutdown())));
        }
        if let Some(logger) = logger {
            flushes.push(Box::new(move || drop(logger.shutdown_with_timeout(FLUSH))));
        }
        flush_at_once(flushes, deadline);
        let (min, max) = LAST_LINES;
        let left = deadline.saturating_duration_since(Instant::now());
        lines.flush(left.clamp(min, max));
    }
}

type FinalFlush = Box<dyn FnOnce() + Send>;

/// Runs all flushes at once, so that a receiver that takes no metrics costs the logs nothing. Returns when all have ended or
/// at the deadline: the SDK's shutdown of metrics takes no timeout.
fn flush_at_once(flushes: Vec<FinalFlush>, deadline: Instant) {
    let (done, ended) = mpsc::channel();
    for flush in flushes {
        let done = done.clone();
        // A process that may start no thread ends without this flush.
        let _ = thread::Builder::new().spawn(move || {
            flush();
            drop(done);
        });
    }
    drop(done);
    let left = deadline.saturating_duration_since(Instant::now());
    // Ends when the last sender is gone; nothing is sent.
    let _: Result<(), _> = ended.recv_timeout(left);
}

/// Logs to stdout and, if there is one, to the receiver.
fn start_logging(
    filter: &LogFilter,
    lines: &Arc<LogWriter>,
    logger: Option<&SdkLoggerProvider>,
) -> Result<(), TryInitError> {
    let exported = logger.map(|logger| {
        OpenTelemetryTracingBridge::new(logger).with_filter(EnvFilter::new(NOT_EXPORTED))
    });
    tracing_subscriber::registry()
        .with(filter.filter())
        .with(exported)
        .with(json::layer(Arc::clone(lines)))
        .try_init()?;
    panics::log();
    Ok(())
}

fn observe_lines(lines: &Arc<LogWriter>) {
    let lines = Arc::clone(lines);
    metrics::LOG_LINES_DROPPED.observe(move || [(lines.dropped(), Labels::default())]);
}

/// Names variables that the operator set in vain.
fn warn_of(without_effect: &[String]) {
    if !without_effect.is_empty() {
        let variables = without_effect.join(", ");
        tracing::warn!(variables, "settings of OpenTelemetry without effect");
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_that_hangs_holds_up_neither_the_others_nor_the_end() {
        const HANG: Duration = Duration::from_secs(60);
        let (_open, never) = mpsc::channel::<()>();
        let (flushed, seen) = mpsc::channel();
        let hanging = move || {
            let _ = never.recv_timeout(HANG);
        };
        let good = move || flushed.send(()).expect("the test");
        let begun = Instant::now();

        let flushes: Vec<FinalFlush> = vec![Box::new(hanging), Box::new(good)];
        flush_at_once(flushes, begun + Duration::from_millis(100));
        seen.recv().expect("the second flush");

        assert!(begun.elapsed() < HANG / 2);
    }
}
