//! The types of the export's settings.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use opentelemetry_sdk::metrics::Temporality;

use service::config::{FromSetting, parse};

use super::resource::NameValueList;

/// URL of a receiver, without credentials and without a query.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Endpoint(pub(super) String);

impl Endpoint {
    pub(super) fn signal(&self, path: &str) -> String {
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
pub(super) struct Headers(pub(super) HashMap<String, String>);

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
pub(super) struct Milliseconds(pub(super) Duration);

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
pub(super) struct QueueSize(pub(super) usize);

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
pub(super) struct SdkDisabled(pub(super) bool);

impl FromSetting for SdkDisabled {
    fn from_setting(text: &str) -> Result<Self, String> {
        parse(&text.to_ascii_lowercase(), "true or false").map(Self)
    }
}

pub(super) struct Protocol;

impl FromSetting for Protocol {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text {
            "http/protobuf" => Ok(Self),
            _ => Err("http/protobuf, the only protocol that is supported".to_owned()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Exporter {
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

pub(super) struct Preference(pub(super) Temporality);

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
    use super::super::tests::mistaken;
    use super::*;

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
}
