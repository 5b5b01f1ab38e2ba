//! What librdkafka reports, as log lines: one per occurrence, and none of them a flood.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Passes what librdkafka reports on to the log.
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

/// A broker that failed; librdkafka reports the same as an error, which [`ErrorLog`] writes down.
const FAIL: &str = "FAIL";

/// One line of librdkafka's own log.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Error if facility == FAIL => {
            tracing::debug!(facility, detail = message, "kafka client detail");
        }
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            // A broker that is away is an error to librdkafka; to this system it is weather.
            tracing::warn!(facility, detail = message, "kafka client reports an error");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(facility, detail = message, "kafka client notice");
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, detail = message, "kafka client detail");
        }
    }
}

/// The log of one client's errors. While a broker is away librdkafka repeats the same few errors many times a second:
/// one line says each of them, and another follows after [`ErrorLog::SILENCE`].
#[derive(Debug, Default)]
pub struct ErrorLog {
    /// One entry per kind of error, of which there are few.
    last: Mutex<Vec<Repetition>>,
}

#[derive(Debug)]
struct Repetition {
    kind: Kind,
    logged_at: Instant,
    suppressed: u64,
}

/// What counts as the same thing said again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Error(Option<RDKafkaErrorCode>),
    Notice(&'static str),
}

impl ErrorLog {
    const SILENCE: Duration = Duration::from_secs(30);

    /// Logs an error unless its like was logged a moment ago.
    pub fn report(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            // Follows the errors that say why.
            tracing::debug!(error = %error, detail = reason, "kafka client error");
            return;
        }
        let Some(suppressed) = self.admit(Kind::Error(code), Instant::now()) else {
            return;
        };
        match Remedy::of(code) {
            // Waiting does not help: somebody has to change something.
            Some(Remedy::Credentials) => {
                tracing::error!(error = %error, detail = reason, suppressed, "kafka refuses the credentials of this service (KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD)");
            }
            Some(Remedy::Certificates) => {
                tracing::error!(error = %error, detail = reason, suppressed, "no TLS connection to kafka can be made (KAFKA_CA_FILE, KAFKA_CERTIFICATE_FILE)");
            }
            Some(Remedy::Permissions) => {
                tracing::error!(error = %error, detail = reason, suppressed, "kafka forbids this user what the service has to do");
            }
            None => {
                tracing::warn!(error = %error, detail = reason, suppressed, "kafka client error");
            }
        }
    }

    /// Logs what passes by itself, unless its like was logged a moment ago.
    pub fn notice(&self, facility: &'static str, message: &str) {
        if let Some(suppressed) = self.admit(Kind::Notice(facility), Instant::now()) {
            tracing::info!(
                facility,
                detail = message,
                suppressed,
                "kafka client notice"
            );
        }
    }

    /// How many of its like were suppressed before this; `None` if it is suppressed itself.
    fn admit(&self, kind: Kind, now: Instant) -> Option<u64> {
        // Whole after every statement: a panic elsewhere does not spoil it.
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

/// What an operator has to look at.
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
    fn an_error_that_repeats_itself_is_logged_once_until_time_passes() {
        let log = ErrorLog::default();
        let away = Kind::Error(Some(RDKafkaErrorCode::BrokerTransportFailure));
        let now = Instant::now();

        assert_eq!(log.admit(away, now), Some(0));
        assert_eq!(log.admit(away, now), None);
        assert_eq!(log.admit(away, now), None);
        assert_eq!(log.admit(away, now + ErrorLog::SILENCE), Some(2));
    }

    #[test]
    fn errors_that_take_turns_are_logged_once_each() {
        let log = ErrorLog::default();
        let refused = Kind::Error(Some(RDKafkaErrorCode::Authentication));
        let away = Kind::Error(Some(RDKafkaErrorCode::BrokerTransportFailure));
        let now = Instant::now();

        assert_eq!(log.admit(refused, now), Some(0));
        assert_eq!(log.admit(away, now), Some(0));
        assert_eq!(log.admit(refused, now), None);
        assert_eq!(log.admit(away, now), None);
    }

    #[test]
    fn what_only_a_person_can_mend_is_told_apart_from_weather() {
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
