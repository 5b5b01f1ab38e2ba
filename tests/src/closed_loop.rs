//! A closed loop: callers that call again as soon as they are answered, for maximum throughput.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use hdrhistogram::Histogram;

/// The result of one round.
#[derive(Debug)]
pub struct Round {
    /// Completed calls.
    pub calls: u64,
    pub per_second: f64,
    latency: Histogram<u64>,
}

impl Round {
    /// Latency quantile in milliseconds.
    pub fn millis(&self, quantile: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "displayed only")]
        let micros = self.latency.value_at_quantile(quantile) as f64;
        micros / 1_000.0
    }
}

/// How long a round lasts.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// Calls that begin within this time.
    Time(Duration),
    /// This many calls.
    Calls(u64),
    /// This many calls, but none that would begin after this time.
    CallsWithin(u64, Duration),
}

impl From<Duration> for Extent {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl Extent {
    /// Whether the next call is within it. `begun` are the calls before, of all callers.
    fn has_room(self, start: Instant, begun: &AtomicU64) -> bool {
        let before = begun.fetch_add(1, Ordering::Relaxed);
        match self {
            Self::Time(time) => start.elapsed() < time,
            Self::Calls(calls) => before < calls,
            Self::CallsWithin(calls, time) => before < calls && start.elapsed() < time,
        }
    }
}

/// Runs this many callers over these channels. Calls in flight at the end are awaited and counted.
///
/// # Errors
/// When a call fails.
pub async fn measure<T, F, C>(
    callers: usize,
    extent: impl Into<Extent>,
    channels: &[T],
    call: C,
) -> Result<Round>
where
    T: Clone,
    F: Future<Output = Result<()>>,
    C: Fn(T) -> F,
{
    let (start, extent) = (Instant::now(), extent.into());
    let begun = AtomicU64::new(0);
    let callers = (0..callers).map(|caller| {
        let channel = channels[caller % channels.len()].clone();
        let (call, begun) = (&call, &begun);
        async move {
            let mut latency = Histogram::<u64>::new(3)?;
            while extent.has_room(start, begun) {
                let called = Instant::now();
                call(channel.clone()).await?;
                latency.record(u64::try_from(called.elapsed().as_micros())?)?;
            }
            anyhow::Ok(latency)
        }
    });
    let mut all = Histogram::<u64>::new(3)?;
    for latency in try_join_all(callers).await? {
        all.add(latency)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "displayed only")]
    let per_second = all.len() as f64 / start.elapsed().as_secs_f64();
    Ok(Round {
        calls: all.len(),
        per_second,
        latency: all,
    })
}

/// Of an even number of values, the mean of the two in the middle; NaN without values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        Some(upper) if values.len().is_multiple_of(2) => f64::midpoint(values[middle - 1], *upper),
        Some(value) => *value,
        None => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_values_is_between_them() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![3.0, 1.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[tokio::test]
    async fn a_round_of_calls_makes_exactly_these() {
        let made = AtomicU64::new(0);
        let call = |()| async {
            made.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(())
        };

        let round = measure(7, Extent::Calls(100), &[()], call).await.unwrap();

        assert_eq!((round.calls, made.load(Ordering::Relaxed)), (100, 100));
    }

    #[tokio::test]
    async fn a_round_whose_time_is_over_makes_no_further_call_however_many_are_left() {
        let call = |()| async { Ok(()) };
        let extent = Extent::CallsWithin(u64::MAX, Duration::from_millis(10));

        let round = measure(2, extent, &[()], call).await.unwrap();

        assert!(round.calls > 0);
    }
}
