//! What is seen of a relay: each event on its way to the broker, and how many keys stand still.
//!
//! An event that is refused and sent again has a span for each time. One whose row is damaged was never on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::OutboxRow;
use kafka::headers::Headers;
use kafka::{KafkaConfig, ObservedSend, Outgoing, SendTelemetry};
use telemetry::names::metrics;
use telemetry::propagation;
use telemetry::vocabulary::Labels;

/// Watches one relay, over all its sessions.
#[derive(Debug)]
pub(super) struct RelayTelemetry {
    sends: SendTelemetry,
    blocked: Arc<AtomicU64>,
}

impl RelayTelemetry {
    /// Once per relay: what is observed cannot be taken back.
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

    /// The event goes to the producer.
    pub(super) fn begin(&self, row: &OutboxRow, headers: &Headers) -> ObservedSend {
        let decided = propagation::of_event(headers);
        let message = Outgoing {
            topic: &row.topic,
            key: Some(row.key.as_bytes()),
            headers,
        };
        self.sends.begin(message, &decided, &decided)
    }

    /// So many keys stand still now.
    pub(super) fn show_blocked(&self, keys: usize) {
        let keys = u64::try_from(keys).unwrap_or(u64::MAX);
        self.blocked.store(keys, Ordering::Relaxed);
    }
}
