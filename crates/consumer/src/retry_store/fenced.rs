//! Which keys are fenced, read in one go.
//!
//! All of the topic, not only those of the partition: the events of a key that was parked before the topic got more
//! partitions come from another one now.

use super::{Fenced, MOST_FENCED_KEYS};

/// One more than are kept: so that more are noticed.
#[expect(
    clippy::cast_possible_wrap,
    reason = "a constant far below the limit of the type"
)]
pub(super) const LIMIT: i64 = MOST_FENCED_KEYS as i64 + 1;

/// Steps from key to key in the index instead of reading every row: a key may have very many.
pub(super) const FENCED_KEYS: &str = "
WITH RECURSIVE fenced (ordering_key) AS (
    SELECT (SELECT ordering_key FROM parked
            WHERE topic = $1 AND ordering_key IS NOT NULL AND state <> 'SKIPPED'
            ORDER BY ordering_key LIMIT 1)
    UNION ALL
    SELECT (SELECT parked.ordering_key FROM parked
            WHERE topic = $1 AND parked.ordering_key > fenced.ordering_key AND state <> 'SKIPPED'
            ORDER BY parked.ordering_key LIMIT 1)
    FROM fenced WHERE fenced.ordering_key IS NOT NULL
)
SELECT ordering_key FROM fenced WHERE ordering_key IS NOT NULL LIMIT $2";

pub(super) fn of(keys: Vec<Vec<u8>>) -> Fenced {
    if keys.len() > MOST_FENCED_KEYS {
        return Fenced::TooMany;
    }
    Fenced::Keys(keys)
}
