//! Events to write: those of a key are numbered from 0.

use mock_kafka::TOPIC;
use outbox::OutboxRecord;

pub(crate) fn record(key: usize, event: usize) -> OutboxRecord {
    OutboxRecord {
        topic: TOPIC.into(),
        key: format!("key-{key}"),
        headers: Vec::new(),
        payload: event.to_string().into_bytes(),
    }
}

/// One event of each key after the other.
pub(crate) fn records(keys: usize, events: std::ops::Range<usize>) -> Vec<OutboxRecord> {
    events
        .flat_map(|event| (0..keys).map(move |key| record(key, event)))
        .collect()
}
