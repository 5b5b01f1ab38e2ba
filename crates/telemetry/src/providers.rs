//! Export of spans, metrics and logs to an OTLP/HTTP receiver.
//!
//! Each signal has its own thread with a bounded queue: while the receiver is slow or down, telemetry that does not fit
//! into the queue is dropped, and the service does not block.

use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig,
    WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder as LogBatchConfig, BatchLogProcessor, SdkLoggerProvider,
};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder as SpanBatchConfig, BatchSpanProcessor, SdkTracerProvider,
};

use crate::config::{ExportConfig, Receiver};
use crate::sampling::Sampling;

/// Without a receiver no trace is sampled here, but the sampling decision of a caller is still propagated.
pub(super) fn tracer(
    export: &ExportConfig,
    resource: Resource,
    sampling: Sampling,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let provider = SdkTracerProvider::builder().with_resource(resource);
    let Some(receiver) = &export.traces else {
        return Ok(provider.with_sampler(Sampling::NONE.sampler()).build());
    };
    let exporter = to(receiver, SpanExporter::builder().with_http()).build()?;
    let batch = SpanBatchConfig::default()
        .with_scheduled_delay(export.span_batch.delay)
        .with_max_queue_size(export.span_batch.queue)
        .with_max_export_batch_size(export.span_batch.max_size);
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch.build());
    Ok(provider
        .with_sampler(sampling.sampler())
        .with_span_processor(processor.build())
        .build())
}

pub(super) fn meter(
    export: &ExportConfig,
    receiver: &Receiver,
    resource: Resource,
) -> Result<SdkMeterProvider, ExporterBuildError> {
    let exporter = MetricExporter::builder().with_temporality(export.temporality);
    let exporter = to(receiver, exporter.with_http()).build()?;
    let reader = PeriodicReader::builder(exporter).with_interval(export.metric_interval);
    Ok(SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(reader.build())
        .build())
}

pub(super) fn logger(
    export: &ExportConfig,
    receiver: &Receiver,
    resource: Resource,
) -> Result<SdkLoggerProvider, ExporterBuildError> {
    let exporter = to(receiver, LogExporter::builder().with_http()).build()?;
    let batch = LogBatchConfig::default()
        .with_scheduled_delay(export.log_batch.delay)
        .with_max_queue_size(export.log_batch.queue)
        .with_max_export_batch_size(export.log_batch.max_size);
    let processor = BatchLogProcessor::builder(exporter).with_batch_config(batch.build());
    Ok(SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_log_processor(processor.build())
        .build())
}

fn to<B: WithExportConfig + WithHttpConfig>(receiver: &Receiver, exporter: B) -> B {
    exporter
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&receiver.url)
        .with_timeout(receiver.timeout)
        .with_headers(receiver.headers.clone())
}
