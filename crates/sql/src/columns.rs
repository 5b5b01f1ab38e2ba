//! Values as both databases store them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Both databases have signed integers only; no count here reaches 2^63.
pub fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Unix milliseconds; 0 for an earlier time.
pub fn unix_millis(at: SystemTime) -> i64 {
    let elapsed = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// One value of each row, as an array to bind for `UNNEST`.
pub fn column<'r, R, V>(rows: &'r [R], value: impl FnMut(&'r R) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}
