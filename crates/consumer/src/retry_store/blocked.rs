//! Which keys are fenced, read in one go.
//!
//! All of the topic, not only those of the partition: the events of a key that was parked before the topic got more
//! partitions come from another one now.

use super::{BlockedKeySet, MAX_BLOCKED_KEYS};

/// One more than are kept: so that more are noticed.
#[expect(
    clippy::cast_possible_wrap,
    reason = "a constant far below the limit of the type"
)]
pub(super) const LIMIT: i64 = MAX_BLOCKED_KEYS as i64 + 1;

/// Steps from key to key in the index instead of reading every row: a key may have very many.
pub(super) const BLOCKED_KEYS: &str = "
WITH RECURSIVE blocked (ordering_key) AS (
    SELECT (SELECT ordering_key FROM retry_events
            WHERE topic = $1 AND ordering_key IS NOT NULL AND state <> 'SKIPPED'
            ORDER BY ordering_key LIMIT 1)
    UNION ALL
    SELECT (SELECT retry_events.ordering_key FROM retry_events
            WHERE topic = $1 AND retry_events.ordering_key > blocked.ordering_key AND state <> 'SKIPPED'
            ORDER BY retry_events.ordering_key LIMIT 1)
    FROM blocked WHERE blocked.ordering_key IS NOT NULL
)
SELECT ordering_key FROM blocked WHERE ordering_key IS NOT NULL LIMIT $2";

pub(super) fn of(keys: Vec<Vec<u8>>) -> BlockedKeySet {
    if keys.len() > MAX_BLOCKED_KEYS {
        return BlockedKeySet::TooMany;
    }
    BlockedKeySet::Keys(keys)
}
