//! When calls are due.
//!
//! Time has ticks: what would be due between two of them is due at the later one, and latency counts from there. So the
//! generator wakes once for all calls of a tick, and its sleep is no part of their latency. The server sees the calls of a
//! tick at once, which is harder on it than the same rate without ticks, if anything.

use std::time::Duration;

use clap::ValueEnum;

use super::Load;

/// A thousand wakes a second cost next to nothing, and no bound that is measured with it is below some milliseconds.
pub const TICK: Duration = Duration::from_millis(1);

/// How calls are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// Like many independent callers: the gaps are exponentially distributed (Poisson process).
    Poisson,
}

/// When each call of a load is due, counted from its start: warm-up first, in order.
pub fn due_times(load: &Load) -> impl Iterator<Item = Duration> + use<> {
    let end = load.warm_up + load.length;
    let (arrivals, per_second) = (load.arrivals, load.per_second);
    let mut before = 0.0;
    let seconds = (0_u64..).map(move |number| match arrivals {
        // From the number and not from the one before: rounding would add up.
        Arrivals::Constant => number as f64 / per_second,
        Arrivals::Poisson => {
            before += gap(per_second);
            before
        }
    });
    seconds
        .map(Duration::from_secs_f64)
        .take_while(move |due| *due < end)
        .map(at_its_tick)
}

/// Seconds between two calls.
fn gap(per_second: f64) -> f64 {
    // A share below 1, so that the logarithm is one of a positive number.
    -(1.0 - rand::random::<f64>()).ln() / per_second
}

fn at_its_tick(due: Duration) -> Duration {
    let ticks = due.as_nanos().div_ceil(TICK.as_nanos());
    TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(arrivals: Arrivals, per_second: f64, seconds: u64) -> Load {
        Load {
            arrivals,
            per_second,
            warm_up: Duration::from_secs(1),
            length: Duration::from_secs(seconds - 1),
            outstanding: 1,
        }
    }

    #[test]
    fn a_constant_rate_is_kept_to_the_end_and_warm_up_is_part_of_the_time() {
        let due: Vec<_> = due_times(&load(Arrivals::Constant, 300.0, 10)).collect();

        assert_eq!(due.len(), 3_000);
        assert_eq!(due[0], Duration::ZERO);
        assert_eq!(due[300], Duration::from_secs(1));
        assert_eq!(due[2_700], Duration::from_secs(9));
    }

    #[test]
    fn what_falls_between_two_ticks_is_due_at_the_later_one() {
        let due: Vec<_> = due_times(&load(Arrivals::Constant, 3_000.0, 2)).collect();

        let millis: Vec<_> = due[..8].iter().map(Duration::as_micros).collect();
        assert_eq!(millis, [0, 1_000, 1_000, 1_000, 2_000, 2_000, 2_000, 3_000]);
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_on_average_and_come_in_clusters() {
        let due: Vec<_> = due_times(&load(Arrivals::Poisson, 1_000.0, 100)).collect();

        // 100,000 expected; the standard deviation is 316.
        assert!((98_000..102_000).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted());
        let same_tick = due.windows(2).filter(|pair| pair[0] == pair[1]).count();
        // Of ticks with one call on average, 26 in 100 have more.
        assert!(same_tick > 30_000, "{same_tick}");
    }
}
