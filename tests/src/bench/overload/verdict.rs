//! The bounds that must hold under overload.

use std::fmt;

use serde_json::{Value, json};

/// Maximum ratio of p99 of accepted orders to that of an unloaded service.
const TIMES_UNLOADED: f64 = 2.0;

/// Maximum p99 of a refusal in milliseconds: a late refusal costs the client time that it could use for another
/// service.
const REFUSED_MS: f64 = 10.0;

/// Medians over the rounds in milliseconds; `None` without data in any round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OverloadVerdict {
    /// p99 of orders of the unloaded service.
    pub(super) unloaded: Option<f64>,
    /// p99 of orders that were accepted under overload.
    pub(super) accepted: Option<f64>,
    /// p99 latency of refused calls under overload.
    pub(super) refused: Option<f64>,
}

impl OverloadVerdict {
    pub(super) fn holds(&self) -> bool {
        self.accepted_keep_their_latency() && self.refused_are_told_early()
    }

    fn accepted_keep_their_latency(&self) -> bool {
        // A service that accepts no calls does not meet the bound.
        let both = self.unloaded.zip(self.accepted);
        both.is_some_and(|(unloaded, accepted)| accepted <= TIMES_UNLOADED * unloaded)
    }

    fn refused_are_told_early(&self) -> bool {
        self.refused.is_none_or(|refused| refused < REFUSED_MS)
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "unloaded_p99_ms": self.unloaded,
            "accepted_p99_ms": self.accepted,
            "refused_p99_ms": self.refused,
            "accepted_keep_their_latency": self.accepted_keep_their_latency(),
            "refused_are_told_early": self.refused_are_told_early(),
        })
    }
}

impl fmt::Display for OverloadVerdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = |holds| if holds { "holds" } else { "DOES NOT HOLD" };
        let accepted = held(self.accepted_keep_their_latency());
        match self.unloaded.zip(self.accepted) {
            Some((unloaded, accepted_ms)) => writeln!(
                formatter,
                "accepted under overload: p99 {accepted_ms:.2} ms, {:.1} times that of an unloaded service; \
                 at most {TIMES_UNLOADED} times: {accepted}",
                accepted_ms / unloaded
            )?,
            None => writeln!(formatter, "accepted under overload: nothing: {accepted}")?,
        }
        let refused = held(self.refused_are_told_early());
        match self.refused {
            Some(ms) => write!(
                formatter,
                "refused under overload: p99 {ms:.2} ms; below {REFUSED_MS} ms: {refused}"
            ),
            None => write!(formatter, "refused under overload: nothing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(accepted: Option<f64>, refused: Option<f64>) -> OverloadVerdict {
        OverloadVerdict {
            unloaded: Some(3.0),
            accepted,
            refused,
        }
    }

    #[test]
    fn accepted_work_may_take_at_most_twice_as_long() {
        assert!(verdict(Some(6.0), Some(1.0)).holds());
        assert!(!verdict(Some(6.1), Some(1.0)).holds());
    }

    #[test]
    fn a_service_that_accepts_nothing_fails_the_latency_bound() {
        assert!(!verdict(None, Some(1.0)).holds());
    }

    #[test]
    fn refusals_must_be_fast_and_no_refusals_pass() {
        assert!(!verdict(Some(3.0), Some(10.0)).holds());
        assert!(verdict(Some(3.0), None).holds());
    }
}
