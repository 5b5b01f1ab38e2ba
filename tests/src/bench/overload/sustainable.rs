//! The sustainable load of order-service, and why a greater one is not sustained.

use std::time::Duration;

use anyhow::Result;

use super::bench::Bench;
use crate::open_loop::measured::{Measured, millis};
use crate::open_loop::sustainable::{self, Steps, Sustainable};

/// From the throughput of the slowest machine, accurate to a tenth.
const STEPS: Steps<'_> = Steps {
    first: 100.0,
    factors: &[1.5, 1.1],
};

pub(super) async fn find(bench: &mut Bench) -> Result<Sustainable> {
    let length = Duration::from_secs(bench.arguments().seconds) / 2;
    let bound = Duration::from_millis(bench.arguments().p99);
    let found = sustainable::find(STEPS, async |per_second| {
        let measured = bench.offer(per_second, length).await?;
        Ok(strain(&measured, bound))
    });
    Ok(found.await?)
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
    use std::time::Instant;

    use crate::open_loop::answer::OrderAvailability::NotChecked;
    use crate::open_loop::outcomes::{Outcomes, Spread, Times};
    use crate::open_loop::{Arrivals, Load};

    /// Every tenth call is refused, and each answer takes `latency`.
    fn measured(refuses: bool, latency: Duration) -> Measured {
        let due = Instant::now();
        let times = Times {
            due,
            sent: due,
            answered: due + latency,
        };
        let mut outcomes = Outcomes::default();
        for number in 0..20 {
            let refused = refuses && number % 10 == 9;
            let details = ErrorDetails::with_error_info("OVERLOADED", "order-service", []);
            let refusal = Status::with_error_details(Code::ResourceExhausted, "no", details);
            outcomes.record(
                times,
                if refused {
                    Err(refusal)
                } else {
                    Ok(NotChecked)
                },
            );
        }
        Measured {
            load: Load {
                arrivals: Arrivals::Constant,
                per_second: 100.0,
                warm_up: Duration::ZERO,
                length: Duration::from_millis(200),
                outstanding: 100,
            },
            offered: 20,
            dropped: 0,
            outcomes,
            lag: Spread::default(),
        }
    }

    #[test]
    fn a_load_is_sustained_until_p99_exceeds_its_bound_or_calls_are_refused() {
        let (soon, late) = (Duration::ZERO, Duration::from_millis(300));
        let bound = Duration::from_millis(250);

        let sustained = strain(&measured(false, soon), bound);
        let refused = strain(&measured(true, soon), bound);
        let slow = strain(&measured(false, late), bound);

        assert_eq!(sustained, None);
        assert_eq!(refused.as_deref(), Some("2 calls were refused"));
        assert!(slow.is_some_and(|why| why.starts_with("p99 was 30")));
    }
}
