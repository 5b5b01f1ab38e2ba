//! The error and the check that all values parsed from text share.

use thiserror::Error;

/// A value outside the rule of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Malformed(pub(super) &'static str);

/// Whether a text has 1 to `max_length` characters, all printable ASCII. Space counts: real stock codes contain it.
pub(super) fn is_printable_ascii(text: &str, max_length: usize) -> bool {
    (1..=max_length).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
