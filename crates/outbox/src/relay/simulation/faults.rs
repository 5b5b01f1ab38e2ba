//! The fault rates of one simulation, drawn from its seed.

use super::clock::{MILLISECOND, Micros, SECOND};
use service::seeded_rng::SeededRng;

/// Rates in faults per thousand events, and times.
#[derive(Debug)]
pub(super) struct Faults {
    /// No faults but rollbacks, late commits, lost and late hand-overs, and clean stops: then no duplicate may occur.
    pub(super) is_fair: bool,
    pub(super) statements: u64,
    pub(super) broker: u64,
    pub(super) rollbacks: u64,
    pub(super) late_commits: u64,
    /// Transactions of programs without a relay, or whose commit has a result that its writer does not learn.
    pub(super) no_hand_over: u64,
    pub(super) late_hand_overs: u64,
    /// Maximum number of rows in a hand-over: often so few that it overflows.
    pub(super) hand_over_rows: usize,
    pub(super) poison: u64,
    /// Maximum time between two transactions.
    pub(super) transactions: Micros,
    /// No statement succeeds before.
    pub(super) outage_until: Micros,
    /// When all faults end.
    pub(super) end: Micros,
}

impl Faults {
    pub(super) fn new(rng: &mut SeededRng) -> Self {
        let is_fair = rng.happens(150);
        // Some runs are long enough for blocked keys to be retried while new events of them are written.
        let max_seconds = if rng.happens(150) { 100 } else { 20 };
        let mut rate = |max: u64| {
            if is_fair || rng.happens(300) {
                0
            } else {
                rng.within(0..max)
            }
        };
        Self {
            is_fair,
            statements: rate(150),
            broker: rate(200),
            poison: rate(5),
            rollbacks: rng.within(0..100),
            late_commits: rng.within(0..100),
            no_hand_over: rng.within(0..200),
            late_hand_overs: rng.within(0..200),
            hand_over_rows: if rng.happens(500) {
                rng.index(20) + 1
            } else {
                5_000
            },
            transactions: rng.within(5 * MILLISECOND..100 * MILLISECOND),
            outage_until: 0,
            end: rng.within(3 * SECOND..max_seconds * SECOND),
        }
    }
}
