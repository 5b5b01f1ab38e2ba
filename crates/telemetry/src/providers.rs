//! Export of spans, metrics and logs to an OTLP/HTTP receiver.
//!
//! Each signal has its own thread with a bounded queue: while the receiver is slow or down, telemetry that does not fit
//! into the queue is dropped, and the service does not block.

use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_semantic_conventions::resource::{SERVICE_INSTANCE_ID, SERVICE_VERSION};
use uuid::Uuid;

use super::{SamplingRatio, tracer_provider};
use service::ServiceIdentity;

pub(super) fn resource(identity: ServiceIdentity) -> Resource {
    // The builder adds OTEL_RESOURCE_ATTRIBUTES, which a pod fills from the downward API.
    let given = Resource::builder().build();
    let resource = Resource::builder()
        .with_service_name(identity.name)
        .with_attribute(KeyValue::new(SERVICE_VERSION, identity.version));
    if given.get(&Key::new(SERVICE_INSTANCE_ID)).is_some() {
        return resource.build();
    }
    let instance = KeyValue::new(SERVICE_INSTANCE_ID, Uuid::new_v4().to_string());
    resource.with_attribute(instance).build()
}

/// Without an endpoint no trace is sampled here, but the sampling decision of a caller is still propagated.
pub(super) fn tracer(
    endpoint: Option<&str>,
    resource: Resource,
    ratio: SamplingRatio,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let Some(url) = endpoint else {
        return Ok(tracer_provider(SamplingRatio::NONE)
            .with_resource(resource)
            .build());
    };
    let exporter = to(url, "traces", SpanExporter::builder().with_http()).build()?;
    Ok(tracer_provider(ratio)
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build())
}

pub(super) fn meter(url: &str, resource: Resource) -> Result<SdkMeterProvider, ExporterBuildError> {
    let exporter = to(url, "metrics", MetricExporter::builder().with_http()).build()?;
    Ok(SdkMeterProvider::builder()
        .with_resource(resource)
        .with_periodic_exporter(exporter)
        .build())
}

pub(super) fn logger(
    url: &str,
    resource: Resource,
) -> Result<SdkLoggerProvider, ExporterBuildError> {
    let exporter = to(url, "logs", LogExporter::builder().with_http()).build()?;
    Ok(SdkLoggerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build())
}

fn to<B: WithExportConfig>(url: &str, signal: &str, exporter: B) -> B {
    exporter
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{url}/v1/{signal}"))
}
