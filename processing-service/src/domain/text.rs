//! Checks that all values parsed from text share.

/// A value outside the rules of its type; the message names the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct Malformed {
    expected: &'static str,
}

impl Malformed {
    pub(crate) const fn expected(expected: &'static str) -> Self {
        Self { expected }
    }
}

/// Whether a text has 1 to `limit` characters, all printable ASCII.
pub(super) fn is_printable(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
