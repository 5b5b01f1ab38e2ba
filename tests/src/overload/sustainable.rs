//! Finds the sustainable load: rising steps until a bound is exceeded.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::bench::Bench;
use crate::open_loop::measured::{Measured, millis};

/// The first step in orders per second: the throughput of the slowest machine.
const FIRST: f64 = 100.0;

/// Large steps first, then small ones from the last sustained load: the result is accurate to a tenth.
const FACTORS: [f64; 2] = [1.5, 1.1];

/// A failed step is repeated: on a machine with other work, one measurement may be an outlier.
const ATTEMPTS: u32 = 2;

/// The greatest sustained load.
#[derive(Clone, Debug)]
pub(super) struct Sustainable {
    pub(super) per_second: f64,
    /// Why the next step was not sustained.
    pub(super) limit: String,
}

pub(super) async fn find(bench: &mut Bench) -> Result<Sustainable> {
    let mut good = None;
    let mut limit = String::new();
    for factor in FACTORS {
        loop {
            let next = good.map_or(FIRST, |good| good * factor);
            if let Some(strain) = strain_at(bench, next).await? {
                limit = format!("at {next:.0} per second {strain}");
                break;
            }
            good = Some(next);
        }
    }
    let per_second = good.with_context(|| format!("no load is sustained: {limit}"))?;
    Ok(Sustainable { per_second, limit })
}

async fn strain_at(bench: &mut Bench, per_second: f64) -> Result<Option<String>> {
    let length = Duration::from_secs(bench.arguments().seconds) / 2;
    let bound = Duration::from_millis(bench.arguments().p99);
    let mut last = None;
    for _ in 0..ATTEMPTS {
        last = strain(&bench.offer(per_second, length).await?, bound);
        if last.is_none() {
            break;
        }
    }
    Ok(last)
}

/// Why a load is not sustained; `None` when it is.
fn strain(measured: &Measured, bound: Duration) -> Option<String> {
    let (refused, failed) = (measured.all_refused(), measured.all_failed());
    let p99 = measured.all_accepted().corrected.quantile(0.99);
    if refused.count() > 0 {
        return Some(format!("{} calls were refused", refused.count()));
    }
    if failed.count() > 0 {
        return Some(format!("{} calls failed", failed.count()));
    }
    if measured.dropped > 0 {
        return Some(format!("{} calls were not sent", measured.dropped));
    }
    if p99 > bound {
        return Some(format!("p99 was {:.1} ms", millis(p99)));
    }
    if !measured.generator_kept_up() {
        return Some("the generator did not keep up".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;
    use crate::open_loop::answer::OrderAvailability::NotChecked;
    use crate::open_loop::{self, Arrivals, Load};

    /// Every tenth call is refused, and each answer is delayed by `delay`.
    async fn measured(refuses: bool, delay: Duration) -> Measured {
        let load = Load {
            arrivals: Arrivals::Constant,
            per_second: 100.0,
            warm_up: Duration::ZERO,
            length: Duration::from_millis(200),
            outstanding: 100,
        };
        let measured = open_loop::run(load, move |number| async move {
            tokio::time::sleep(delay).await;
            if refuses && number % 10 == 9 {
                let details = ErrorDetails::with_error_info("OVERLOADED", "order-service", []);
                let code = Code::ResourceExhausted;
                return Err(Status::with_error_details(code, "no", details));
            }
            Ok(NotChecked)
        });
        measured.await.unwrap()
    }

    #[tokio::test]
    async fn a_load_is_sustained_until_p99_exceeds_its_bound_or_calls_are_refused() {
        let (soon, late) = (Duration::ZERO, Duration::from_millis(300));
        let bound = Duration::from_millis(250);

        let refused = strain(&measured(true, soon).await, bound);
        let slow = strain(&measured(false, late).await, bound);

        assert_eq!(refused.as_deref(), Some("2 calls were refused"));
        assert!(slow.is_some_and(|why| why.starts_with("p99 was 30")));
    }
}
