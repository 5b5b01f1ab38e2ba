//! When calls are due.
//!
//! Time is divided into ticks: a call due between two ticks is due at the later one, and latency counts from there. So
//! the generator wakes once for all calls of a tick, and its sleep is not part of their latency. The server gets the
//! calls of a tick at once, which is a harder load than the same rate without ticks.

use std::time::Duration;

use super::load::Arrivals;
use super::rate_curve::RateCurve;

/// A thousand wake-ups per second cost almost nothing, and the smallest measured bound is several milliseconds.
pub const TICK: Duration = Duration::from_millis(1);

/// The due time of each call, counted from the start, in order.
pub fn due_times(curve: RateCurve, arrivals: Arrivals) -> impl Iterator<Item = Duration> {
    let mut before = 0.0;
    let calls = (0_u64..).map(move |number| match arrivals {
        // From the number, not from the previous time: rounding errors would add up.
        Arrivals::Constant => number as f64,
        Arrivals::Poisson => {
            before += gap();
            before
        }
    });
    calls
        .map_while(move |calls| curve.time_of(calls))
        .map(at_its_tick)
}

/// Exponentially distributed with the mean 1: as a number of calls on a curve it is the gap of a Poisson process, also
/// where the rate changes.
fn gap() -> f64 {
    // `random` is below 1, so the argument of the logarithm is positive.
    -(1.0 - rand::random::<f64>()).ln()
}

fn at_its_tick(due: Duration) -> Duration {
    let ticks = due.as_nanos().div_ceil(TICK.as_nanos());
    TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::rate_curve::Stage;
    use super::*;

    fn due(arrivals: Arrivals, per_second: f64, seconds: u64) -> Vec<Duration> {
        let stage = Stage::constant(per_second, Duration::from_secs(seconds));
        due_times(RateCurve::new(vec![stage]), arrivals).collect()
    }

    #[test]
    fn a_constant_rate_is_kept_to_the_end() {
        let due = due(Arrivals::Constant, 300.0, 10);

        assert_eq!(due.len(), 3_000);
        assert_eq!(due[0], Duration::ZERO);
        assert_eq!(due[300], Duration::from_secs(1));
        assert_eq!(due[2_700], Duration::from_secs(9));
    }

    #[test]
    fn a_call_between_two_ticks_is_due_at_the_later_one() {
        let due = due(Arrivals::Constant, 3_000.0, 2);

        let millis: Vec<_> = due[..8].iter().map(Duration::as_micros).collect();
        assert_eq!(millis, [0, 1_000, 1_000, 1_000, 2_000, 2_000, 2_000, 3_000]);
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_on_average_and_come_in_clusters() {
        let due = due(Arrivals::Poisson, 1_000.0, 100);

        // 100,000 expected; the standard deviation is 316.
        assert!((98_000..102_000).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted());
        let same_tick = due.windows(2).filter(|pair| pair[0] == pair[1]).count();
        // Of ticks with one call on average, 26 in 100 have more.
        assert!(same_tick > 30_000, "{same_tick}");
    }
}
