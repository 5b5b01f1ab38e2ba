//! Telemetry of the relay: a span and measurements per publish attempt, and the number of blocked keys.
//!
//! Each attempt of an event has its own span. A damaged row is never handed to the producer and has none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kafka::headers::Headers;
use kafka::{KafkaConfig, ObservedSend, Outgoing, SendTelemetry};
use telemetry::names::metrics;
use telemetry::propagation;
use telemetry::vocabulary::Labels;

/// The telemetry of one relay, over all its sessions.
#[derive(Debug)]
pub(super) struct RelayTelemetry {
    sends: SendTelemetry,
    blocked: Arc<AtomicU64>,
}

impl RelayTelemetry {
    /// Once per relay: an observed gauge cannot be unregistered.
    pub(super) fn new(kafka: &KafkaConfig) -> Self {
        let blocked = Arc::<AtomicU64>::default();
        let observed = Arc::clone(&blocked);
        metrics::OUTBOX_BLOCKED_KEYS
            .observe(move || [(observed.load(Ordering::Relaxed), Labels::default())]);
        Self {
            sends: SendTelemetry::new(kafka),
            blocked,
        }
    }

    /// Begins a publish attempt, as part of the trace that created the event.
    pub(super) fn begin(&self, topic: &str, key: &str, headers: &Headers) -> ObservedSend {
        let decided = propagation::of_event(headers);
        let message = Outgoing {
            topic,
            key: Some(key.as_bytes()),
            headers,
        };
        self.sends.begin(message, &decided, &decided)
    }

    pub(super) fn show_blocked(&self, keys: usize) {
        let keys = u64::try_from(keys).unwrap_or(u64::MAX);
        self.blocked.store(keys, Ordering::Relaxed);
    }
}
