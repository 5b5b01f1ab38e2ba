//! Logs the errors and notices of librdkafka, rate limited.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A client context that logs everything librdkafka reports.
#[derive(Debug, Default)]
pub struct LogContext {
    errors: ErrorLog,
}

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.report(&error, reason);
    }
}

impl ConsumerContext for LogContext {}

/// The facility of a broker failure: librdkafka also reports it as an error, which [`ErrorLog`] logs.
const FAIL: &str = "FAIL";

/// Logs one line of librdkafka's own log.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Error if facility == FAIL => {
            tracing::debug!(facility, detail = message, "kafka client detail");
        }
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            // An unavailable broker is an error to librdkafka; this system recovers from it.
            tracing::warn!(facility, detail = message, "kafka client error reported");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(facility, detail = message, "kafka client notice");
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, detail = message, "kafka client detail");
        }
    }
}

/// The rate-limited error log of one client. While a broker is unavailable, librdkafka repeats the same few errors many times
/// a second: each is logged once per [`ErrorLog::SILENCE`], with the number of suppressed repetitions.
#[derive(Debug, Default)]
pub struct ErrorLog {
    /// One entry per kind; there are few kinds.
    last: Mutex<Vec<Repetition>>,
}

#[derive(Debug)]
struct Repetition {
    kind: LogKind,
    logged_at: Instant,
    suppressed: u64,
}

/// Events of one kind count as repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogKind {
    Error(Option<RDKafkaErrorCode>),
    Notice(&'static str),
}

impl ErrorLog {
    const SILENCE: Duration = Duration::from_secs(30);

    /// Logs an error unless one of its kind was logged within [`ErrorLog::SILENCE`].
    pub fn report(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            // Follows the errors that carry the reason.
            tracing::debug!(error = %error, detail = reason, "kafka client error");
            return;
        }
        let Some(suppressed) = self.admit(LogKind::Error(code), Instant::now()) else {
            return;
        };
        match Remedy::of(code) {
            // Not transient: an operator has to change something.
            Some(Remedy::Credentials) => {
                tracing::error!(error = %error, detail = reason, suppressed, "kafka authentication failed (check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD)");
            }
            Some(Remedy::Certificates) => {
                tracing::error!(error = %error, detail = reason, suppressed, "TLS handshake with kafka failed (check KAFKA_CA_FILE, KAFKA_CERTIFICATE_FILE)");
            }
            Some(Remedy::Permissions) => {
                tracing::error!(error = %error, detail = reason, suppressed, "kafka authorization failed, the user lacks permissions");
            }
            None => {
                tracing::warn!(error = %error, detail = reason, suppressed, "kafka client error");
            }
        }
    }

    /// Logs a transient condition, unless one of its kind was logged within [`ErrorLog::SILENCE`].
    pub fn notice(&self, facility: &'static str, message: &str) {
        if let Some(suppressed) = self.admit(LogKind::Notice(facility), Instant::now()) {
            tracing::info!(
                facility,
                detail = message,
                suppressed,
                "kafka client notice"
            );
        }
    }

    /// The number of suppressed events of this kind; `None` if this one is suppressed too.
    fn admit(&self, kind: LogKind, now: Instant) -> Option<u64> {
        // Consistent after every statement, so a poisoned lock is usable.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(same) = last.iter_mut().find(|last| last.kind == kind) else {
            last.push(Repetition {
                kind,
                logged_at: now,
                suppressed: 0,
            });
            return Some(0);
        };
        if now < same.logged_at + Self::SILENCE {
            same.suppressed += 1;
            return None;
        }
        same.logged_at = now;
        Some(std::mem::take(&mut same.suppressed))
    }
}

/// What an operator has to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    Credentials,
    Certificates,
    Permissions,
}

impl Remedy {
    fn of(code: Option<RDKafkaErrorCode>) -> Option<Self> {
        match code? {
            RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism => Some(Self::Credentials),
            RDKafkaErrorCode::SSL => Some(Self::Certificates),
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed => Some(Self::Permissions),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_error_is_logged_once_per_30_s() {
        let log = ErrorLog::default();
        let unavailable = LogKind::Error(Some(RDKafkaErrorCode::BrokerTransportFailure));
        let now = Instant::now();

        assert_eq!(log.admit(unavailable, now), Some(0));
        assert_eq!(log.admit(unavailable, now), None);
        assert_eq!(log.admit(unavailable, now), None);
        assert_eq!(log.admit(unavailable, now + ErrorLog::SILENCE), Some(2));
    }

    #[test]
    fn alternating_errors_are_logged_once_each() {
        let log = ErrorLog::default();
        let refused = LogKind::Error(Some(RDKafkaErrorCode::Authentication));
        let unavailable = LogKind::Error(Some(RDKafkaErrorCode::BrokerTransportFailure));
        let now = Instant::now();

        assert_eq!(log.admit(refused, now), Some(0));
        assert_eq!(log.admit(unavailable, now), Some(0));
        assert_eq!(log.admit(refused, now), None);
        assert_eq!(log.admit(unavailable, now), None);
    }

    #[test]
    fn errors_that_need_an_operator_are_told_apart_from_transient_ones() {
        let remedy = |code| Remedy::of(Some(code));

        assert_eq!(
            remedy(RDKafkaErrorCode::Authentication),
            Some(Remedy::Credentials)
        );
        assert_eq!(remedy(RDKafkaErrorCode::SSL), Some(Remedy::Certificates));
        assert_eq!(
            remedy(RDKafkaErrorCode::TopicAuthorizationFailed),
            Some(Remedy::Permissions)
        );
        assert_eq!(remedy(RDKafkaErrorCode::BrokerTransportFailure), None);
    }
}
