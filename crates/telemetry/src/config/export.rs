//! Settings of the export: where each signal goes, how often and how much of it waits.
//!
//! Other than in the specification, nothing is exported unless an endpoint is set.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use opentelemetry_sdk::metrics::Temporality;

use service::config::{FromSetting, Settings, parse};

use super::resource::NameValueList;

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

/// URL of a receiver, without credentials and without a query.
#[derive(Clone, PartialEq, Eq)]
struct Endpoint(String);

impl Endpoint {
    fn signal(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.0.trim_end_matches('/'))
    }
}

impl FromSetting for Endpoint {
    /// A rejected one can have credentials.
    const SECRET: bool = true;

    fn from_setting(text: &str) -> Result<Self, String> {
        let expected = "a URL such as http://collector:4318, with http:// or https://, without credentials and query";
        if text.parse().is_ok_and(|uri| is_endpoint(&uri)) && !text.contains('#') {
            return Ok(Self(text.to_owned()));
        }
        Err(expected.to_owned())
    }
}

fn is_endpoint(uri: &Uri) -> bool {
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    // The type accepts any number as a port.
    let port = authority.as_str().strip_prefix(authority.host());
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let has_valid_port = match port.map(|port| port.strip_prefix(':').unwrap_or(port)) {
        Some("") => !authority.as_str().ends_with(':'),
        Some(port) => is_port(port),
        None => false,
    };
    !authority.host().is_empty() && has_valid_port && uri.query().is_none()
}

#[derive(Clone)]
struct Headers(HashMap<String, String>);

impl FromSetting for Headers {
    const SECRET: bool = true;

    fn from_setting(text: &str) -> Result<Self, String> {
        let is_valid = |(name, value): &(String, String)| {
            HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
        };
        let list = NameValueList::parse(text).filter(|list| list.0.iter().all(is_valid));
        let expected = "headers such as authorization=Bearer%20TOKEN, separated by commas, values percent-encoded";
        list.map(|list| Self(list.0.into_iter().collect()))
            .ok_or_else(|| expected.to_owned())
    }
}

/// A whole number of milliseconds, as OpenTelemetry has it for times.
#[derive(Clone, Copy)]
struct Milliseconds(Duration);

/// A day.
const MAX_MILLISECONDS: u64 = 24 * 60 * 60 * 1_000;

impl FromSetting for Milliseconds {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number @ 1..=MAX_MILLISECONDS) => Ok(Self(Duration::from_millis(number))),
            _ => Err(format!(
                "milliseconds, a whole number from 1 to {MAX_MILLISECONDS}"
            )),
        }
    }
}

/// The queues are allocated whole.
#[derive(Clone, Copy)]
struct QueueSize(usize);

const MAX_QUEUE: usize = 100_000;

impl FromSetting for QueueSize {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(size @ 1..=MAX_QUEUE) => Ok(Self(size)),
            _ => Err(format!("a whole number from 1 to {MAX_QUEUE}")),
        }
    }
}

/// Case-insensitive, as the specification has it.
struct SdkDisabled(bool);

impl FromSetting for SdkDisabled {
    fn from_setting(text: &str) -> Result<Self, String> {
        parse(&text.to_ascii_lowercase(), "true or false").map(Self)
    }
}

struct Protocol;

impl FromSetting for Protocol {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text {
            "http/protobuf" => Ok(Self),
            _ => Err("http/protobuf, the only protocol that is supported".to_owned()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Exporter {
    Otlp,
    None,
}

impl FromSetting for Exporter {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text {
            "otlp" => Ok(Self::Otlp),
            "none" => Ok(Self::None),
            _ => Err("otlp or none, no other exporter is supported".to_owned()),
        }
    }
}

struct Preference(Temporality);

impl FromSetting for Preference {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "cumulative" => Ok(Self(Temporality::Cumulative)),
            "delta" => Ok(Self(Temporality::Delta)),
            "lowmemory" => Ok(Self(Temporality::LowMemory)),
            _ => Err("cumulative, delta or lowmemory".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{mistaken, read};
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    #[test]
    fn an_endpoint_is_a_url_with_a_scheme_and_a_host() {
        for text in [
            "127.0.0.1:4318",
            "http://127.0.0.1:4318\n",
            "http://127.0.0.1:4318\nx",
            "collector",
            "grpc://collector:4317",
            "http://",
            "http://:4318",
            "http://collector:99999",
            "http://collector:0",
            "http://collector:",
            "http://collector:port",
            "http://user:secret@collector",
            "http://collector?a=b",
            "http://collector#a",
            "http://b\u{fc}cher:4318",
            " ",
        ] {
            let name = mistaken(&[("OTEL_EXPORTER_OTLP_ENDPOINT", text)]);
            assert_eq!(name, "OTEL_EXPORTER_OTLP_ENDPOINT", "{text:?}");
        }
        for text in ["http://collector", "https://[::1]:4318/otlp"] {
            assert!(Endpoint::from_setting(text).is_ok(), "{text}");
        }
    }

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
