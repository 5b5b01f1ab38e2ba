//! Records, and the steps of a consumer with them.

use std::time::Duration;

use consumer::retry_store::{Claimed, Fault, FaultClass, RetryState, RetryStore, Settlement};
use kafka::record::Record;
use uuid::Uuid;

pub(crate) const TOPIC: &str = "orders";

/// Longer than any test takes.
pub(crate) const TERM: Duration = Duration::from_secs(60);

/// More than any test stores.
pub(crate) const MANY: u32 = 1_000;

pub(crate) const SWEEPER: Uuid = Uuid::from_u128(1);
pub(crate) const OTHER_SWEEPER: Uuid = Uuid::from_u128(2);

pub(crate) const DUE: RetryState = RetryState::Waiting {
    retry_after: Duration::ZERO,
};

pub(crate) const LATER: RetryState = RetryState::Waiting {
    retry_after: Duration::from_secs(3_600),
};

pub(crate) fn record(key: &str, offset: i64) -> Record {
    Record {
        topic: TOPIC.to_owned(),
        partition: 3,
        offset,
        timestamp_ms: Some(1_700_000_000_000 + offset),
        key: Some(key.as_bytes().to_vec()),
        headers: vec![(b"ce_type".to_vec(), Some(b"com.example.something".to_vec()))].into(),
        payload: Some(format!("payload {offset}").into_bytes()),
    }
}

pub(crate) fn without_key(offset: i64) -> Record {
    Record {
        key: None,
        ..record("", offset)
    }
}

pub(crate) fn fault() -> Fault {
    Fault {
        class: FaultClass::RetriesSpent,
        message: "the provider is away".to_owned(),
        attempts: 7,
        first_failed_at: 1_000,
        last_failed_at: 2_000,
    }
}

pub(crate) async fn claim(retry_store: &dyn RetryStore, sweeper: Uuid) -> Vec<Claimed> {
    retry_store.claim(TOPIC, sweeper, MANY, TERM).await.unwrap()
}

/// Handles what is due, one head after the other, until nothing is; the offsets in the order of their handling.
pub(crate) async fn drain(retry_store: &dyn RetryStore) -> Vec<i64> {
    let mut handled = Vec::new();
    loop {
        let claimed = retry_store.claim(TOPIC, SWEEPER, 1, TERM).await.unwrap();
        let Some(head) = claimed.first() else {
            return handled;
        };
        handled.push(head.record.offset);
        let settled = retry_store.settle(head.id, SWEEPER, &Settlement::Handled);
        settled.await.unwrap();
    }
}

pub(crate) fn offsets(claimed: &[Claimed]) -> Vec<i64> {
    claimed.iter().map(|head| head.record.offset).collect()
}
