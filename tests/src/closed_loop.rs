//! A closed loop: callers that call again as soon as they are answered, for maximum throughput.

use std::future::Future;
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

/// Runs this many callers over these channels for a time. Calls in flight at the end are awaited and counted.
///
/// # Errors
/// When a call fails.
pub async fn measure<T, F, C>(
    callers: usize,
    length: Duration,
    channels: &[T],
    call: C,
) -> Result<Round>
where
    T: Clone,
    F: Future<Output = Result<()>>,
    C: Fn(T) -> F,
{
    let start = Instant::now();
    let end = start + length;
    let callers = (0..callers).map(|caller| {
        let channel = channels[caller % channels.len()].clone();
        let call = &call;
        async move {
            let mut latency = Histogram::<u64>::new(3)?;
            while Instant::now() < end {
                let begun = Instant::now();
                call(channel.clone()).await?;
                latency.record(u64::try_from(begun.elapsed().as_micros())?)?;
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

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
