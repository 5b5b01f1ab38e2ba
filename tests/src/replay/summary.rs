//! The figures of a run.

use std::collections::BTreeMap;

use super::history::History;

/// Counts of orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Orders started.
    pub submitted: u64,
    /// Orders confirmed.
    pub accepted: u64,
    /// Orders that the client could not represent or the service refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Orders without an answer after all retries.
    pub unanswered: u64,
    /// Accepted orders that became FULFILLED.
    pub fulfilled: u64,
    /// Accepted orders that became REJECTED, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Accepted orders that became CANCELLED.
    pub cancelled: u64,
    /// Accepted orders for which a cancellation was requested.
    pub cancellations: u64,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    pub counts: Counts,
    /// From first send to confirmation.
    pub confirm: Latency,
    /// From first send to the final state.
    pub outcome: Latency,
    /// Confirmations per second, from the first send to the last confirmation.
    pub confirmations_per_second: f64,
    /// Final orders per second, from the first send to the last outcome.
    pub orders_per_second: f64,
    /// The history of one order, of a fulfilled one if possible.
    pub example: Option<History>,
    /// Orders with an unexpected course, one sentence each.
    pub problems: Problems,
}

/// Two percentiles.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// Median in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile in milliseconds.
    pub p99_ms: f64,
}

/// Maximum number of problems listed in full; the others are only counted.
pub(super) const NAMED: usize = 20;

/// Orders with an unexpected course, the first twenty in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    pub count: u64,
    pub named: Vec<String>,
}

impl Counts {
    /// All refused orders.
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }

    /// All accepted orders that became REJECTED.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Accepted orders that are final.
    pub fn ended(&self) -> u64 {
        self.fulfilled + self.rejected_total() + self.cancelled
    }
}

impl Problems {
    pub fn add(&mut self, sentence: String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(sentence);
        }
    }

    /// The sentences, and the number of omitted ones.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = self.named.clone();
        let unnamed = self.count - self.named.len() as u64;
        if unnamed > 0 {
            sentences.push(format!("… and {unnamed} more"));
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_named_up_to_a_bound_and_counted_beyond() {
        let mut problems = Problems::default();

        for order in 0..25 {
            problems.add(format!("order {order}"));
        }

        let sentences = problems.sentences();
        assert_eq!(sentences.len(), NAMED + 1);
        assert_eq!(sentences[NAMED], "… and 5 more");
    }
}
