//! The orders that the page has placed: totals, figures per second, the last rows. Everything is a ring: a page that is left
//! open for a week takes as much memory as after ten minutes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::vocabulary::status_name;

/// Seconds that the plots show.
pub(super) const SECONDS: usize = 120;

/// Rows of the table of orders.
const ROWS: usize = 12;

/// Orders whose progress is kept: more than can be followed at once.
const KEPT: usize = 5_000;

/// Latencies kept per second; beyond it, the first ones stand for all.
const SAMPLES: usize = 500;

/// The board; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Board(Arc<Mutex<BoardState>>);

#[derive(Debug)]
struct BoardState {
    began: Instant,
    totals: Totals,
    seconds: VecDeque<SecondSamples>,
    rows: VecDeque<OrderRow>,
}

/// Counts since the start of the page.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Totals {
    pub(super) placed: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) fulfilled: u64,
    pub(super) rejected: u64,
    pub(super) cancelled: u64,
    /// Accepted, and no longer watched: too many at once, or not final in time.
    pub(super) unwatched: u64,
}

/// An order as the table shows it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OrderRow {
    pub(super) id: String,
    pub(super) invoice: String,
    pub(super) status: &'static str,
    pub(super) availability: &'static str,
    pub(super) confirmed_ms: f64,
    pub(super) outcome_ms: Option<f64>,
}

#[derive(Debug, Default)]
struct SecondSamples {
    number: u64,
    confirmations: Vec<f64>,
    outcomes: Vec<f64>,
    accepted: u64,
    finished: u64,
    failed: u64,
    gauges: BTreeMap<&'static str, f64>,
}

/// The figures of one second; times in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SecondRow {
    accepted: u64,
    finished: u64,
    failed: u64,
    confirm: Option<Spread>,
    outcome: Option<Spread>,
    #[serde(flatten)]
    gauges: BTreeMap<&'static str, f64>,
}

/// Median and maximum.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Spread {
    pub(super) p50: f64,
    pub(super) max: f64,
}

/// How a call to place an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unplaced {
    /// For what is ordered.
    Refused,
    /// No usable answer.
    Failed,
}

impl Board {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(BoardState {
            began: Instant::now(),
            totals: Totals::default(),
            seconds: VecDeque::new(),
            rows: VecDeque::new(),
        })))
    }

    /// Complete after every change, so a poisoned lock is harmless.
    fn state(&self) -> MutexGuard<'_, BoardState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn placed(&self) {
        self.state().totals.placed += 1;
    }

    pub(super) fn accepted(&self, row: OrderRow) {
        let mut state = self.state();
        state.totals.accepted += 1;
        let second = state.second();
        second.accepted += 1;
        add(&mut second.confirmations, row.confirmed_ms);
        state.rows.push_back(row);
        if state.rows.len() > KEPT {
            state.rows.pop_front();
        }
    }

    pub(super) fn unplaced(&self, how: Unplaced) {
        let mut state = self.state();
        match how {
            Unplaced::Refused => state.totals.refused += 1,
            Unplaced::Failed => {
                state.totals.failed += 1;
                state.second().failed += 1;
            }
        }
    }

    pub(super) fn progressed(&self, id: &str, status: i32) {
        if let Some(row) = self.state().row(id) {
            row.status = status_name(status);
        }
    }

    pub(super) fn finished(&self, id: &str, after: Duration) {
        let mut state = self.state();
        let milliseconds = milliseconds(after);
        let Some(row) = state.row(id) else { return };
        row.outcome_ms = Some(milliseconds);
        match row.status {
            "FULFILLED" => state.totals.fulfilled += 1,
            "REJECTED" => state.totals.rejected += 1,
            _ => state.totals.cancelled += 1,
        }
        let second = state.second();
        second.finished += 1;
        add(&mut second.outcomes, milliseconds);
    }

    /// Time to the outcome of an order in milliseconds, when it has one.
    pub(super) fn outcome_of(&self, id: &str) -> Option<f64> {
        self.state().row(id)?.outcome_ms
    }

    pub(super) fn unwatched(&self) {
        self.state().totals.unwatched += 1;
    }

    /// Records gauges for the present second; a missing one leaves a gap in its plot.
    pub(super) fn measured(&self, gauges: BTreeMap<&'static str, f64>) {
        self.state().second().gauges = gauges;
    }

    pub(super) fn totals(&self) -> Totals {
        self.state().totals.clone()
    }

    /// The last orders, newest first.
    pub(super) fn rows(&self) -> Vec<OrderRow> {
        self.state().rows.iter().rev().take(ROWS).cloned().collect()
    }

    /// One row per second, oldest first; the last one is the present second.
    pub(super) fn seconds(&self) -> Vec<SecondRow> {
        let mut state = self.state();
        // The plots go on while nothing happens.
        state.second();
        state.seconds.iter().map(SecondRow::of).collect()
    }

    /// Medians of the last seconds, of confirmations and of outcomes.
    pub(super) fn recent_medians(&self, seconds: usize) -> (Option<f64>, Option<f64>) {
        let state = self.state();
        let recent = || state.seconds.iter().rev().take(seconds);
        let of = |samples: Vec<f64>| Spread::of(&samples).map(|spread| spread.p50);
        (
            of(recent()
                .flat_map(|second| second.confirmations.clone())
                .collect()),
            of(recent()
                .flat_map(|second| second.outcomes.clone())
                .collect()),
        )
    }
}

impl BoardState {
    fn row(&mut self, id: &str) -> Option<&mut OrderRow> {
        self.rows.iter_mut().rev().find(|row| row.id == id)
    }

    /// The present second, after empty ones for those in which nothing happened.
    fn second(&mut self) -> &mut SecondSamples {
        let present = self.began.elapsed().as_secs();
        let oldest = present.saturating_sub(SECONDS as u64 - 1);
        let next = self.seconds.back().map_or(oldest, |last| last.number + 1);
        for number in next.max(oldest)..=present {
            self.seconds.push_back(SecondSamples {
                number,
                ..SecondSamples::default()
            });
        }
        while self.seconds.len() > SECONDS {
            self.seconds.pop_front();
        }
        let last = self.seconds.len() - 1;
        &mut self.seconds[last]
    }
}

impl SecondRow {
    fn of(second: &SecondSamples) -> Self {
        Self {
            accepted: second.accepted,
            finished: second.finished,
            failed: second.failed,
            confirm: Spread::of(&second.confirmations),
            outcome: Spread::of(&second.outcomes),
            gauges: second.gauges.clone(),
        }
    }
}

impl Spread {
    fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            p50: rounded(*sorted.get(sorted.len() / 2)?),
            max: rounded(*sorted.last()?),
        })
    }
}

fn add(samples: &mut Vec<f64>, sample: f64) {
    if samples.len() < SAMPLES {
        samples.push(sample);
    }
}

/// To a tenth: the page shows no more, and snapshots stay short.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: usize) -> OrderRow {
        OrderRow {
            id: id.to_string(),
            invoice: "536365".to_owned(),
            status: "ACCEPTED",
            availability: "CONFIRMED",
            confirmed_ms: 1.0,
            outcome_ms: None,
        }
    }

    #[test]
    fn a_board_does_not_grow_beyond_its_bounds() {
        let board = Board::new();
        board.state().began = Instant::now() - Duration::from_secs(1_000);

        for id in 0..KEPT + 100 {
            board.accepted(row(id));
        }

        let state = board.state();
        assert_eq!(state.rows.len(), KEPT);
        assert_eq!(state.seconds.len(), SECONDS);
        assert!(state.seconds[SECONDS - 1].confirmations.len() <= SAMPLES);
        assert_eq!(state.totals.accepted, KEPT as u64 + 100);
    }

    #[test]
    fn an_order_is_counted_by_its_final_status_in_the_second_of_its_outcome() {
        let board = Board::new();
        board.accepted(row(1));

        board.progressed("1", proto::orders::v1::OrderStatus::Fulfilled.into());
        board.finished("1", Duration::from_millis(40));

        assert_eq!(board.totals().fulfilled, 1);
        assert_eq!(board.rows()[0].outcome_ms, Some(40.0));
        let seconds = board.seconds();
        let last = seconds.last().and_then(|second| second.outcome);
        assert_eq!(last.map(|spread| spread.max), Some(40.0));
    }
}
