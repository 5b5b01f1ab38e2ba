//! Settings of the export: where each signal goes, how often and how much of it waits.
//!
//! Other than in the specification, nothing is exported unless an endpoint is set.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry_sdk::metrics::Temporality;

use service::config::Settings;

use super::values::{
    Endpoint, Exporter, Headers, Milliseconds, Preference, Protocol, QueueSize, SdkDisabled,
};

#[derive(Clone, Debug)]
pub(crate) struct ExportConfig {
    /// `None`: not exported.
    pub(crate) traces: Option<Receiver>,
    pub(crate) metrics: Option<Receiver>,
    pub(crate) logs: Option<Receiver>,
    pub(crate) span_batch: Batch,
    pub(crate) log_batch: Batch,
    pub(crate) metric_interval: Duration,
    pub(crate) temporality: Temporality,
}

/// Where a signal is sent.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) timeout: Duration,
}

/// Spans or log records that wait for their export.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) delay: Duration,
    pub(crate) queue: usize,
    pub(crate) max_size: usize,
}

/// The variables of a signal.
struct SignalNames {
    /// The end of the path behind OTEL_EXPORTER_OTLP_ENDPOINT.
    path: &'static str,
    exporter: &'static str,
    endpoint: &'static str,
    headers: &'static str,
    timeout: &'static str,
    protocol: &'static str,
}

const TRACES: SignalNames = SignalNames {
    path: "traces",
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
};

const METRICS: SignalNames = SignalNames {
    path: "metrics",
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
};

const LOGS: SignalNames = SignalNames {
    path: "logs",
    exporter: "OTEL_LOGS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    timeout: "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    protocol: "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
};

/// Certificates for the receiver. Without them every export would fail, or the receiver would not know who sends.
const CERTIFICATES: [&str; 12] = [
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
];

/// Settings for all signals; each signal can have its own.
struct AllSignals {
    is_disabled: bool,
    endpoint: Option<Endpoint>,
    headers: Option<Headers>,
    timeout: Duration,
}

impl AllSignals {
    fn read(settings: &mut Settings<'_>) -> Self {
        let SdkDisabled(is_disabled) = settings.value(
            "OTEL_SDK_DISABLED",
            "false",
            "whether nothing is exported, whatever the other variables say",
        );
        let endpoint = settings.optional(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "base URL of an OTLP/HTTP receiver, for example http://127.0.0.1:4318; unset: nothing is exported",
        );
        let headers = settings.optional(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "headers of each export, such as credentials: `name=value` separated by commas, values percent-encoded",
        );
        let Milliseconds(timeout) = settings.value(
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "10000",
            "timeout of an export in milliseconds",
        );
        let _: Protocol = settings.value(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/protobuf",
            "protocol of the export; there is no other one than http/protobuf",
        );
        for name in CERTIFICATES {
            let why = "not supported: add the authority to the system's, and let a collector present certificates";
            settings.unsupported(name, why);
        }
        Self {
            is_disabled,
            endpoint,
            headers,
            timeout,
        }
    }

    /// Reads the settings of a signal.
    fn receiver(&self, settings: &mut Settings<'_>, names: &SignalNames) -> Option<Receiver> {
        let exporter: Exporter = settings.value(
            names.exporter,
            "otlp",
            "`otlp`, or `none` to not export this signal",
        );
        let endpoint: Option<Endpoint> = settings.optional(
            names.endpoint,
            "whole URL for this signal; OTEL_EXPORTER_OTLP_ENDPOINT with its path if unset",
        );
        let headers = settings.optional(
            names.headers,
            "headers for this signal; OTEL_EXPORTER_OTLP_HEADERS if unset",
        );
        let timeout: Option<Milliseconds> = settings.optional(
            names.timeout,
            "timeout for this signal in milliseconds; OTEL_EXPORTER_OTLP_TIMEOUT if unset",
        );
        let _: Option<Protocol> = settings.optional(
            names.protocol,
            "protocol for this signal; http/protobuf like OTEL_EXPORTER_OTLP_PROTOCOL",
        );
        if self.is_disabled || exporter == Exporter::None {
            return None;
        }
        let common = || self.endpoint.as_ref()?.signal(names.path).into();
        let headers = headers.or_else(|| self.headers.clone());
        Some(Receiver {
            url: endpoint.map(|Endpoint(url)| url).or_else(common)?,
            headers: headers.map(|Headers(headers)| headers).unwrap_or_default(),
            timeout: timeout.map_or(self.timeout, |Milliseconds(timeout)| timeout),
        })
    }
}

impl ExportConfig {
    pub(super) fn read(settings: &mut Settings<'_>) -> Self {
        let common = AllSignals::read(settings);
        let [traces, metrics, logs] =
            [TRACES, METRICS, LOGS].map(|names| common.receiver(settings, &names));
        Self {
            traces,
            metrics,
            logs,
            span_batch: read_span_batch(settings),
            log_batch: read_log_batch(settings),
            metric_interval: read_metric_interval(settings),
            temporality: read_temporality(settings),
        }
    }
}

fn read_span_batch(settings: &mut Settings<'_>) -> Batch {
    let Milliseconds(delay) = settings.value(
        "OTEL_BSP_SCHEDULE_DELAY",
        "5000",
        "time between two exports of spans in milliseconds",
    );
    let QueueSize(queue) = settings.value(
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "2048",
        "spans that wait for their export; more are dropped",
    );
    let QueueSize(max_size) = settings.value(
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "512",
        "spans per export, at most OTEL_BSP_MAX_QUEUE_SIZE",
    );
    Batch {
        delay,
        queue,
        max_size,
    }
}

fn read_log_batch(settings: &mut Settings<'_>) -> Batch {
    let Milliseconds(delay) = settings.value(
        "OTEL_BLRP_SCHEDULE_DELAY",
        "1000",
        "time between two exports of log records in milliseconds",
    );
    let QueueSize(queue) = settings.value(
        "OTEL_BLRP_MAX_QUEUE_SIZE",
        "2048",
        "log records that wait for their export; more are dropped",
    );
    let QueueSize(max_size) = settings.value(
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        "512",
        "log records per export, at most OTEL_BLRP_MAX_QUEUE_SIZE",
    );
    Batch {
        delay,
        queue,
        max_size,
    }
}

fn read_metric_interval(settings: &mut Settings<'_>) -> Duration {
    let Milliseconds(interval) = settings.value(
        "OTEL_METRIC_EXPORT_INTERVAL",
        "60000",
        "time between two exports of metrics in milliseconds",
    );
    interval
}

fn read_temporality(settings: &mut Settings<'_>) -> Temporality {
    let Preference(temporality) = settings.value(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "cumulative",
        "temporality of metrics: `cumulative`, `delta` or `lowmemory`",
    );
    temporality
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mistaken, read};
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    #[test]
    fn nothing_is_exported_without_an_endpoint_or_when_the_sdk_is_disabled() {
        for given in [&[][..], &[ENDPOINT, ("OTEL_SDK_DISABLED", "True")]] {
            let export = read(given).unwrap().export;
            assert!(export.traces.is_none() && export.metrics.is_none() && export.logs.is_none());
        }
    }

    #[test]
    fn a_signal_has_its_own_endpoint_headers_and_timeout_or_the_common_ones() {
        let export = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces/in"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-key=b,x-team=c"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1000"),
            ("OTEL_LOGS_EXPORTER", "none"),
        ]);

        let export = export.unwrap().export;
        let traces = export.traces.unwrap();
        assert_eq!(traces.url, "https://traces/in");
        assert_eq!((traces.headers.len(), &*traces.headers["x-key"]), (2, "b"));
        assert_eq!(traces.timeout, Duration::from_secs(1));
        let metrics = export.metrics.unwrap();
        assert_eq!(metrics.url, "http://collector:4318/v1/metrics");
        assert_eq!(metrics.headers["authorization"], "Bearer a");
        assert_eq!(metrics.timeout, Duration::from_secs(2));
        assert!(export.logs.is_none());
    }

    #[test]
    fn what_would_send_telemetry_nowhere_or_otherwise_is_refused_by_name() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_SDK_DISABLED", "yes"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a b=c"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "18446744073709551615"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
        ] {
            assert_eq!(mistaken(&[(name, value)]), name, "{value}");
        }
    }

    #[test]
    fn the_headers_are_no_part_of_an_error() {
        let error = read(&[("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")]).unwrap_err();

        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
