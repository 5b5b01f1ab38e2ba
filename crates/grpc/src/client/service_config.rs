//! The gRPC service config: timeouts and retry policies in the JSON format that clients in every language read.
//!
//! Supported: `methodConfig` with `name`, `timeout` and `retryPolicy`, and `retryThrottling` (gRFC A6). Unknown fields
//! are ignored, as in other clients. `waitForReady` is one of them: a call waits for the first lookup of the names,
//! never for a replica.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use tonic::Code;

use crate::status::code_name;

/// Upper limit of attempts, whatever the policy says (gRFC A6).
const MAX_ATTEMPTS: u32 = 5;

/// Upper limit of tokens (gRFC A6).
const MAX_TOKENS: u32 = 1_000;

/// Status codes are numbered from 0 to 16.
const CODES: i32 = 17;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceConfig {
    /// By service and method; the empty method stands for all methods, the empty service for all services.
    methods: HashMap<(String, String), MethodPolicy>,
    pub(super) throttling: Option<Throttling>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ServiceConfigError {
    /// Path such as `methodConfig[0].retryPolicy.maxAttempts`.
    pub path: String,
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    method_config: Option<Vec<MethodConfig>>,
    retry_throttling: Option<Throttling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MethodConfig {
    name: Option<Vec<Name>>,
    timeout: Option<JsonDuration>,
    retry_policy: Option<CallRetryPolicy>,
}

/// A missing field is null, as in JSON for protobuf.
#[derive(Deserialize)]
struct Name {
    service: Option<String>,
    method: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MethodPolicy {
    /// Of a call with all its attempts.
    pub(super) timeout: Option<Duration>,
    /// `None`: no retries.
    pub(super) retry: Option<CallRetryPolicy>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallRetryPolicy {
    /// Including the first one.
    #[serde(deserialize_with = "attempts")]
    pub(super) max_attempts: u32,
    /// Before the first retry.
    #[serde(deserialize_with = "backoff")]
    pub(super) initial_backoff: Duration,
    /// Without jitter.
    #[serde(deserialize_with = "backoff")]
    pub(super) max_backoff: Duration,
    #[serde(deserialize_with = "positive_number")]
    pub(super) backoff_multiplier: f64,
    /// Codes that are retried.
    #[serde(rename = "retryableStatusCodes", deserialize_with = "codes")]
    pub(super) codes: Vec<Code>,
}

/// Budget of retries. In thousandths of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Throttling {
    #[serde(deserialize_with = "max_tokens")]
    pub(super) max_tokens: i64,
    #[serde(deserialize_with = "thousandths")]
    pub(super) token_ratio: i64,
}

impl ServiceConfig {
    /// # Errors
    /// [`ServiceConfigError`] names the first invalid field.
    pub fn parse(json: &str) -> Result<Self, ServiceConfigError> {
        let json: serde_json::Value =
            serde_json::from_str(json).map_err(|error| ServiceConfigError {
                path: format!("line {} column {}", error.line(), error.column()),
                problem: "expected valid JSON".to_owned(),
            })?;
        let document: Document =
            serde_path_to_error::deserialize(json).map_err(|error| ServiceConfigError {
                path: error.path().to_string(),
                problem: error.inner().to_string(),
            })?;
        let mut config = Self {
            methods: HashMap::new(),
            throttling: document.retry_throttling,
        };
        for (index, method_config) in document.method_config.into_iter().flatten().enumerate() {
            config.add(index, method_config)?;
        }
        Ok(config)
    }

    fn add(&mut self, index: usize, config: MethodConfig) -> Result<(), ServiceConfigError> {
        let policy = MethodPolicy {
            timeout: config.timeout.map(|timeout| timeout.0),
            retry: config.retry_policy,
        };
        for (position, name) in config.name.into_iter().flatten().enumerate() {
            let service = name.service.unwrap_or_default();
            let method = name.method.unwrap_or_default();
            let problem = if service.is_empty() && !method.is_empty() {
                "expected a service with the method"
            } else if (self.methods.insert((service, method), policy.clone())).is_some() {
                "expected a name that no other policy has"
            } else {
                continue;
            };
            return Err(ServiceConfigError {
                path: format!("methodConfig[{index}].name[{position}]"),
                problem: problem.to_owned(),
            });
        }
        Ok(())
    }

    /// The policy of `/package.Service/Method`: of the method, else of its service, else the default.
    pub(super) fn policy(&self, path: &str) -> MethodPolicy {
        let path = path.trim_start_matches('/');
        let (service, method) = path.split_once('/').unwrap_or((path, ""));
        let names = [(service, method), (service, ""), ("", "")];
        let found = names.into_iter().find_map(|(service, method)| {
            self.methods.get(&(service.to_owned(), method.to_owned()))
        });
        found.cloned().unwrap_or_default()
    }
}

/// Seconds with up to nine decimals and an `s` (JSON for protobuf).
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct JsonDuration(Duration);

impl TryFrom<String> for JsonDuration {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parsed: Option<prost_types::Duration> = text.parse().ok();
        let duration = parsed.and_then(|duration| duration.try_into().ok());
        let expected = "expected a duration such as \"0.25s\"";
        duration.map(Self).ok_or(expected)
    }
}

/// By name or number.
#[derive(Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct JsonCode(Code);

impl TryFrom<serde_json::Value> for JsonCode {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        let mut codes = (0..CODES).map(Code::from_i32);
        let code = codes.find(|code| match &value {
            serde_json::Value::String(text) => text.eq_ignore_ascii_case(code_name(*code)),
            value => value.as_i64() == Some(i32::from(*code).into()),
        });
        code.map(Self)
            .ok_or("expected a status code such as \"UNAVAILABLE\"")
    }
}

/// A field that must pass a check.
fn checked<'de, D: Deserializer<'de>, J: Deserialize<'de>, T>(
    field: D,
    check: impl FnOnce(J) -> Option<T>,
    expected: &str,
) -> Result<T, D::Error> {
    let checked = check(J::deserialize(field)?);
    checked.ok_or_else(|| de::Error::custom(format_args!("expected {expected}")))
}

fn attempts<'de, D: Deserializer<'de>>(field: D) -> Result<u32, D::Error> {
    let check = |number| whole(number).filter(|attempts| *attempts >= 2);
    let attempts = checked(field, check, "a whole number greater than 1")?;
    Ok(attempts.min(MAX_ATTEMPTS))
}

fn max_tokens<'de, D: Deserializer<'de>>(field: D) -> Result<i64, D::Error> {
    let check = |number| whole(number).filter(|tokens| (1..=MAX_TOKENS).contains(tokens));
    let tokens = checked(field, check, "a whole number from 1 to 1000")?;
    Ok(i64::from(tokens) * 1_000)
}

/// A number greater than zero in thousandths: three decimals count (gRFC A6).
fn thousandths<'de, D: Deserializer<'de>>(field: D) -> Result<i64, D::Error> {
    let check = |number: f64| {
        whole((number * 1_000.0).floor()).filter(|number| (1..=1_000_000_000).contains(number))
    };
    let thousandths = checked(field, check, "a number from 0.001 to 1000000")?;
    Ok(thousandths.into())
}

fn positive_number<'de, D: Deserializer<'de>>(field: D) -> Result<f64, D::Error> {
    let check = |number| Some(number).filter(|number| *number > 0.0);
    checked(field, check, "a number greater than 0")
}

fn backoff<'de, D: Deserializer<'de>>(field: D) -> Result<Duration, D::Error> {
    let check = |JsonDuration(backoff)| Some(backoff).filter(|backoff| !backoff.is_zero());
    checked(field, check, "more than 0s")
}

fn codes<'de, D: Deserializer<'de>>(field: D) -> Result<Vec<Code>, D::Error> {
    let check = |codes: Vec<JsonCode>| Some(codes).filter(|codes| !codes.is_empty());
    let codes = checked(field, check, "at least one status code")?;
    Ok(codes.into_iter().map(|code| code.0).collect())
}

/// JSON has one number type: 4.0 is 4.
fn whole(number: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and the result is compared"
    )]
    let whole = number as u32;
    #[expect(clippy::float_cmp, reason = "a whole number is exact")]
    (f64::from(whole) == number).then_some(whole)
}

#[cfg(test)]
mod tests;
