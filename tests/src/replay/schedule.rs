//! Which order is next, and when it is due.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Hands out order numbers, each once.
#[derive(Debug)]
pub(super) struct Schedule {
    next: AtomicUsize,
    count: usize,
    start: Instant,
    /// Time between two orders; `None`: no pacing.
    interval: Option<Duration>,
}

/// The turn of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplayTurn {
    /// The order's number, from 0.
    pub(super) number: usize,
    /// When to send it. With a rate, latency counts from here even when every caller was busy then: counting from the
    /// actual send would hide stalls (coordinated omission).
    pub(super) due: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(count: usize, rate: Option<f64>) -> Self {
        Self {
            next: AtomicUsize::new(0),
            count,
            start: Instant::now(),
            interval: rate.map(|per_second| Duration::from_secs_f64(1.0 / per_second)),
        }
    }

    /// The next turn; `None` when all orders are handed out.
    pub(super) fn next(&self) -> Option<ReplayTurn> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.count).then(|| ReplayTurn {
            number,
            due: self
                .interval
                .map(|interval| self.start + interval.mul_f64(number as f64)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_is_handed_out_once() {
        let schedule = Schedule::new(3, None);

        let numbers: Vec<_> = std::iter::from_fn(|| schedule.next())
            .map(|turn| turn.number)
            .collect();

        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_rate_spaces_the_orders_evenly() {
        let schedule = Schedule::new(201, Some(200.0));

        let last = std::iter::from_fn(|| schedule.next()).last().unwrap();

        assert_eq!(last.due, Some(schedule.start + Duration::from_secs(1)));
    }
}
