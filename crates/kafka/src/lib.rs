//! How this system talks to Kafka.
//!
//! 1. [`KafkaConfig`] holds the settings that all clients of a process share; [`Security`] is its encryption and
//!    credentials.
//!    [`TopicPrefix`] separates installations that share a Kafka.
//! 2. `properties.rs` turns it into librdkafka properties for an observer, a producer, a dead-letter producer and a
//!    consumer, each property with the guarantee that it provides.
//! 3. [`record::Record`] is a consumed record; [`headers`] are stored in the outbox and sent unchanged.
//! 4. [`topics`] creates and checks topics.
//! 5. [`SendTelemetry`] measures what is sent, [`Operation`] names every operation alike, and [`LogContext`] logs what
//!    librdkafka reports.
//!
//! It decides nothing about retries, order or offsets: the relay (`outbox`) and the consumer (`consumer`) do.

mod config;
mod names;
mod properties;
mod security;

pub mod headers;
pub mod record;

pub mod topics;

mod instrumentation;
mod log;
mod sending;

pub use config::{GroupTimeouts, KafkaConfig};
pub use names::{PREFIX_SETTING, TopicPrefix};
pub use security::{ClientCertificate, Mechanism, Password, Protocol, Sasl, Security};

pub use instrumentation::{Operation, bounded_text, error_type, server};
pub use log::{ErrorLog, LogContext, log};
pub use properties::MAX_RECORD_BYTES;
pub use sending::{ObservedSend, Outgoing, SendTelemetry, is_permanent};
