//! The query for all blocked keys of a topic.
//!
//! Of the topic and not of a partition: after partitions were added to the topic, later events of a blocked key arrive on
//! another partition.

use super::{BlockedKeySet, MAX_BLOCKED_KEYS};

/// One more than are kept in memory, to detect that there are more.
#[expect(
    clippy::cast_possible_wrap,
    reason = "a constant far below the limit of the type"
)]
pub(super) const LIMIT: i64 = MAX_BLOCKED_KEYS as i64 + 1;

/// Steps from key to key in the index (a loose index scan) instead of reading every row: a key may have very many.
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
