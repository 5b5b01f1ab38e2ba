//! The gRPC service config: timeouts and retry policies in the JSON format that clients in every language read.
//!
//! Supported: `methodConfig` with `name`, `timeout` and `retryPolicy`, and `retryThrottling` (gRFC A6). Unknown fields
//! are ignored, as in other clients. `waitForReady` is one of them: a call waits for the first lookup of the names,
//! never for a replica.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Code;

mod reader;

pub use reader::ServiceConfigError;
use reader::{Field, parse_json};

/// Upper limit of attempts, whatever the policy says (gRFC A6).
const MAX_ATTEMPTS: u32 = 5;

/// Upper limit of tokens (gRFC A6).
const MAX_TOKENS: u32 = 1_000;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceConfig {
    methods: HashMap<Name, MethodPolicy>,
    throttling: Option<Throttling>,
}

/// For a method, for all methods of a service, or for all services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Name {
    service: String,
    method: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MethodPolicy {
    /// Of a call with all its attempts.
    pub(super) timeout: Option<Duration>,
    /// `None`: no retries.
    pub(super) retry: Option<CallRetryPolicy>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct CallRetryPolicy {
    /// Including the first one.
    pub(super) max_attempts: u32,
    /// Before the first retry.
    pub(super) initial_backoff: Duration,
    /// Without jitter.
    pub(super) max_backoff: Duration,
    pub(super) backoff_multiplier: f64,
    /// Codes that are retried.
    pub(super) codes: Vec<Code>,
}

/// Budget of retries. In thousandths of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Throttling {
    pub(super) max_tokens: i64,
    pub(super) token_ratio: i64,
}

impl ServiceConfig {
    ///
    /// # Errors
    /// [`ServiceConfigError`] names the first invalid field.
    pub fn parse(json: &str) -> Result<Self, ServiceConfigError> {
        let document = parse_json(json)?;
        let root = Field::root(&document);
        let mut config = Self {
            methods: HashMap::new(),
            throttling: root.find("retryThrottling").map(throttling).transpose()?,
        };
        for method_config in root.elements("methodConfig")? {
            config.add(&method_config)?;
        }
        Ok(config)
    }

    fn add(&mut self, method_config: &Field<'_>) -> Result<(), ServiceConfigError> {
        let policy = MethodPolicy {
            timeout: method_config
                .find("timeout")
                .map(|field| field.duration())
                .transpose()?,
            retry: method_config
                .find("retryPolicy")
                .map(retry_policy)
                .transpose()?,
        };
        for field in method_config.elements("name")? {
            if self.methods.insert(name(&field)?, policy.clone()).is_some() {
                return Err(field.wrong("a name that no other policy has"));
            }
        }
        Ok(())
    }

    /// The policy of `/package.Service/Method`: of the method, else of its service, else the default.
    pub(super) fn policy(&self, path: &str) -> MethodPolicy {
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let service = parts.next().unwrap_or_default();
        let method = parts.next().unwrap_or_default();
        let found = [(service, method), (service, ""), ("", "")]
            .into_iter()
            .find_map(|(service, method)| {
                self.methods.get(&Name {
                    service: service.to_owned(),
                    method: method.to_owned(),
                })
            });
        found.cloned().unwrap_or_default()
    }

    pub(super) fn throttling(&self) -> Option<Throttling> {
        self.throttling
    }
}

fn name(field: &Field<'_>) -> Result<Name, ServiceConfigError> {
    let text = |name| match field.find(name) {
        Some(field) => field.text().map(str::to_owned),
        None => Ok(String::new()),
    };
    let name = Name {
        service: text("service")?,
        method: text("method")?,
    };
    if name.service.is_empty() && !name.method.is_empty() {
        return Err(field.wrong("a service with the method"));
    }
    Ok(name)
}

fn retry_policy(field: Field<'_>) -> Result<CallRetryPolicy, ServiceConfigError> {
    let attempts = field.need("maxAttempts")?;
    let max_attempts = attempts.whole_number("a whole number greater than 1")?;
    if max_attempts < 2 {
        return Err(attempts.wrong("a whole number greater than 1"));
    }
    let backoff = |name| {
        let field = field.need(name)?;
        let backoff = field.duration()?;
        if backoff.is_zero() {
            return Err(field.wrong("more than 0s"));
        }
        Ok(backoff)
    };
    Ok(CallRetryPolicy {
        max_attempts: max_attempts.min(MAX_ATTEMPTS),
        initial_backoff: backoff("initialBackoff")?,
        max_backoff: backoff("maxBackoff")?,
        backoff_multiplier: field.need("backoffMultiplier")?.positive_number()?,
        codes: codes(&field)?,
    })
}

fn codes(retry_policy: &Field<'_>) -> Result<Vec<Code>, ServiceConfigError> {
    let fields = retry_policy.elements("retryableStatusCodes")?;
    if fields.is_empty() {
        let missing = retry_policy.child("retryableStatusCodes");
        return Err(missing.wrong("at least one status code"));
    }
    fields.iter().map(Field::code).collect()
}

fn throttling(field: Field<'_>) -> Result<Throttling, ServiceConfigError> {
    let expected = "a whole number from 1 to 1000";
    let tokens = field.need("maxTokens")?;
    let max_tokens = tokens.whole_number(expected)?;
    if !(1..=MAX_TOKENS).contains(&max_tokens) {
        return Err(tokens.wrong(expected));
    }
    Ok(Throttling {
        max_tokens: i64::from(max_tokens) * 1_000,
        token_ratio: field.need("tokenRatio")?.thousandths()?,
    })
}

#[cfg(test)]
mod tests;
