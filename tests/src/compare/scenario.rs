//! The scenarios, as one table: what is disturbed, and the load meanwhile.

use std::time::Duration;

use crate::open_loop::rate_curve::{RateCurve, Stage};
use crate::stack::Service;

/// Response time of the payment provider: the heavy work.
pub(super) const PAYMENT: Duration = Duration::from_millis(200);

/// Orders that processing-service works on at once, by call or by event.
pub(super) const IN_FLIGHT: u32 = 32;

/// Deadline of a checkout: how long a user waits for an answer.
pub(super) const CHECKOUT: Duration = Duration::from_secs(2);

/// Share of the capacity that is used without a spike: room for the Poisson clusters of the arrivals.
const USUAL: f64 = 0.4;

/// Load of the spike, as a multiple of the capacity.
const SPIKE: f64 = 5.0;

/// Added round-trip time per hop of the chain.
pub(super) const HOP: Duration = Duration::from_millis(50);

/// One in this many payments takes two seconds more while the provider is slow.
pub(super) const SLOW_ONE_IN: usize = 10;

/// Orders per second that the payment provider's response time allows.
pub(super) fn capacity() -> f64 {
    f64::from(IN_FLIGHT) / PAYMENT.as_secs_f64()
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// What happens, in one sentence.
    pub(super) about: &'static str,
    pub(super) disturbance: Disturbance,
    /// Files of the patterns that decide the scenario, from the root of the repository.
    pub(super) patterns: &'static [(&'static str, &'static str)],
}

/// What is unusual in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    Nothing,
    /// More orders than can be processed.
    Spike,
    /// Some payments take longer than a checkout.
    SlowPayments,
    /// A service is killed, and started again later.
    Down(Service),
    /// The line to the entry breaks every second, and clients retry.
    BrokenLine,
    /// Every request is sent twice, and every event is published twice.
    Twice,
    /// Every hop takes longer.
    Hops,
}

pub(super) const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "calm",
        about: "Two fifths of the capacity, nothing is broken.",
        disturbance: Disturbance::Nothing,
        patterns: &[
            (
                "the pipeline inside of the call",
                "processing-service/src/rpc/process_order.rs",
            ),
            (
                "order and event in one commit",
                "order-service/src/rpc/place_order.rs",
            ),
            (
                "the availability check before the promise",
                "order-service/src/inventory.rs",
            ),
        ],
    },
    Scenario {
        name: "spike",
        about: "For a while, five times as many orders come as can be processed.",
        disturbance: Disturbance::Spike,
        patterns: &[
            ("load shedding", "crates/grpc/src/server/load_shed.rs"),
            (
                "bounded work behind the queue",
                "crates/consumer/src/concurrency.rs",
            ),
            ("admission by backlog", "order-service/src/admission.rs"),
        ],
    },
    Scenario {
        name: "slow downstream",
        about: "Every tenth payment takes two seconds more, which is longer than a checkout waits.",
        disturbance: Disturbance::SlowPayments,
        patterns: &[
            ("propagated deadline", "crates/service/src/deadline.rs"),
            ("compensation", "processing-service/src/steps/compensate.rs"),
        ],
    },
    Scenario {
        name: "processing down",
        about: "processing-service is killed and comes back later.",
        disturbance: Disturbance::Down(Service::Processing),
        patterns: &[
            (
                "fallback and circuit breaker",
                "order-service/src/inventory.rs",
            ),
            ("redelivery after a crash", "crates/consumer/src/lib.rs"),
            (
                "steps that can be repeated",
                "processing-service/src/steps.rs",
            ),
        ],
    },
    Scenario {
        name: "broker down",
        about: "The Kafka broker is killed and comes back later.",
        disturbance: Disturbance::Down(Service::Broker),
        patterns: &[
            ("outbox", "crates/outbox/src/lib.rs"),
            ("relay", "crates/outbox/src/relay.rs"),
        ],
    },
    Scenario {
        name: "retrying client",
        about: "Every second the line to the entry breaks for a tenth of a second; clients retry within their deadline.",
        disturbance: Disturbance::BrokenLine,
        patterns: &[
            (
                "one order per request id",
                "order-service/src/store/order_store.rs",
            ),
            (
                "one saga per order id",
                "processing-service/src/store/unit_of_work.rs",
            ),
        ],
    },
    Scenario {
        name: "duplicate delivery",
        about: "Every request is delivered twice, at the same time, and every event on the topics twice.",
        disturbance: Disturbance::Twice,
        patterns: &[
            ("idempotent placement", "order-service/src/commit.rs"),
            ("inbox", "crates/consumer/src/inbox.rs"),
            ("transition table", "processing-service/src/domain/saga.rs"),
        ],
    },
    Scenario {
        name: "slow hops",
        about: "Every network hop takes 50 ms more. The synchronous call passes three of them, a record for Kafka one, PlaceOrder one and another for its stock check, which has a budget.",
        disturbance: Disturbance::Hops,
        patterns: &[
            ("a budget for the check", "order-service/src/inventory.rs"),
            (
                "one deadline for all hops",
                "crates/grpc/src/client/call.rs",
            ),
        ],
    },
];

/// The lengths of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    /// A load without stages.
    steady: Duration,
    /// Before and after a spike or an outage.
    around: Duration,
    spike: Duration,
    outage: Duration,
    /// Maximum time from the last order until all outcomes are there.
    pub(super) settle: Duration,
}

impl Lengths {
    pub(super) fn of(quick: bool) -> Self {
        let (steady, around, spike, outage, settle) = match quick {
            true => (1_500, 1_000, 1_000, 2_000, 20_000),
            false => (12_000, 3_000, 4_000, 20_000, 90_000),
        };
        let [steady, around, spike, outage, settle] =
            [steady, around, spike, outage, settle].map(Duration::from_millis);
        Self {
            steady,
            around,
            spike,
            outage,
            settle,
        }
    }

    /// The load of a scenario.
    pub(super) fn load(&self, disturbance: Disturbance) -> RateCurve {
        let usual = |length| Stage::constant(USUAL * capacity(), length);
        RateCurve::new(match disturbance {
            Disturbance::Spike => {
                let spike = Stage::constant(SPIKE * capacity(), self.spike);
                vec![usual(self.around), spike, usual(self.around)]
            }
            Disturbance::Down(_) => [self.around, self.outage, self.around].map(usual).to_vec(),
            _ => vec![usual(self.steady)],
        })
    }

    /// A short load before the first scenario, which opens connections.
    pub(super) fn warm_up(&self) -> RateCurve {
        RateCurve::new(vec![Stage::constant(USUAL * capacity(), self.around)])
    }

    /// Begin and end of the unusual time, counted from the first order; `None` if it is the whole time.
    pub(super) fn disturbed(&self, disturbance: Disturbance) -> Option<(Duration, Duration)> {
        let length = match disturbance {
            Disturbance::Spike => self.spike,
            Disturbance::Down(_) => self.outage,
            _ => return None,
        };
        Some((self.around, self.around + length))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_pattern_is_a_file_of_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (_, file) in SCENARIOS.iter().flat_map(|scenario| scenario.patterns) {
            assert!(root.join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn the_spike_is_five_times_the_capacity_and_every_other_load_is_below_it() {
        let lengths = Lengths::of(false);
        for scenario in SCENARIOS {
            let load = lengths.load(scenario.disturbance);
            let stages = load.stages().iter();
            let highest = stages.map(|stage| stage.from).fold(0.0, f64::max);

            match scenario.disturbance {
                Disturbance::Spike => assert_eq!(highest, 5.0 * capacity()),
                _ => assert!(highest < 0.5 * capacity(), "{}", scenario.name),
            }
        }
    }

    #[test]
    fn an_outage_lies_within_its_load() {
        for quick in [true, false] {
            let lengths = Lengths::of(quick);
            let down = Disturbance::Down(Service::Broker);
            let whole = lengths.load(down).length();

            let (begin, end) = lengths.disturbed(down).unwrap();

            assert!(Duration::ZERO < begin && begin < end && end < whole);
        }
    }
}
