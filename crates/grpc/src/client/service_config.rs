//! Which calls may be repeated, and how: the gRPC service config, the JSON document that clients in every language read.
//!
//! What is understood: `methodConfig` with `name`, `timeout` and `retryPolicy`, and `retryThrottling` (gRFC A6). Fields that
//! are not known are left alone, as in other clients. `waitForReady` is one of them: a call waits for the first lookup of
//! the names, and never for a replica.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Code;

mod reader;

use reader::{Field, parse_json};

/// More attempts than this are never made, whatever a policy says (gRFC A6).
const MAX_ATTEMPTS: u32 = 5;

/// A bucket may hold no more tokens than this (gRFC A6).
const MAX_TOKENS: u32 = 1_000;

/// How the methods of the services are called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceConfig {
    methods: HashMap<Name, MethodPolicy>,
    throttling: Option<Throttling>,
}

/// A policy is for a method, for all methods of a service, or for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Name {
    service: String,
    method: String,
}

/// How one method is called.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MethodPolicy {
    /// Limit of a call with all its attempts.
    pub(super) timeout: Option<Duration>,
    /// How it is repeated, if it is.
    pub(super) retry: Option<RetryPolicy>,
}

/// How a call is repeated.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RetryPolicy {
    /// Attempts in all, the first one included.
    pub(super) max_attempts: u32,
    /// Wait before the first repetition.
    pub(super) initial_backoff: Duration,
    /// No wait is longer, jitter aside.
    pub(super) max_backoff: Duration,
    /// Growth of the wait.
    pub(super) backoff_multiplier: f64,
    /// After which statuses a call is repeated.
    pub(super) codes: Vec<Code>,
}

/// When repeating stops because too much fails. In thousandths of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Throttling {
    pub(super) max_tokens: i64,
    pub(super) token_ratio: i64,
}

/// A service config that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: expected {expected}")]
pub struct ServiceConfigError {
    /// Where in the document, such as `methodConfig[0].retryPolicy.maxAttempts`.
    pub path: String,
    /// What should stand there.
    pub expected: &'static str,
}

impl ServiceConfig {
    /// Reads the document.
    ///
    /// # Errors
    /// [`ServiceConfigError`] names the first place that is wrong.
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

    /// The policy of this path, `/package.Service/Method`: the method's own, else its service's, else the default.
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

fn retry_policy(field: Field<'_>) -> Result<RetryPolicy, ServiceConfigError> {
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
    Ok(RetryPolicy {
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
