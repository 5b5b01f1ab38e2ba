//! What is counted when a commit has taken place, and only then: a request or an event that comes again finds its order
//! stored or moved and is not counted again.

use std::time::{Duration, SystemTime};

use telemetry::instruments::{Counter, Histogram};
use telemetry::vocabulary::Labels;

use crate::domain::Availability;
use crate::names::{self, attributes, metrics};
use crate::store::{Applied, PlaceOrder, Placed};

/// Orders that were accepted, and how long those that have ended took.
#[derive(Debug)]
pub(super) struct OrderCounts {
    accepted: Counter,
    completion: Histogram,
}

impl Default for OrderCounts {
    fn default() -> Self {
        Self {
            accepted: metrics::ORDERS_ACCEPTED.counter(),
            completion: metrics::ORDERS_COMPLETION_DURATION.histogram(),
        }
    }
}

impl OrderCounts {
    /// Counts the new ones of a batch.
    pub(super) fn accepted(&self, batch: &[PlaceOrder], replies: &[Placed]) {
        for availability in Availability::ALL {
            let is_one = |(command, reply): &(&PlaceOrder, &Placed)| {
                **reply == Placed::New && command.order.availability == availability
            };
            let count = batch.iter().zip(replies).filter(is_one).count() as u64;
            if count > 0 {
                let name = names::availability(availability);
                let labels = Labels::of([attributes::ORDER_AVAILABILITY.label(name)]);
                self.accepted.add(count, &labels);
            }
        }
    }

    /// Measures those that a batch of outcomes has ended. Both ends are taken from clocks of this service; of two replicas
    /// one may be behind, and a negative time counts as none.
    pub(super) fn ended(&self, replies: &[Applied]) {
        let now = SystemTime::now();
        for reply in replies {
            if let Applied::Ended {
                status,
                accepted_at,
            } = *reply
            {
                let since = now.duration_since(accepted_at.into());
                let labels = Labels::of([attributes::ORDER_STATUS.label(names::status(status))]);
                self.completion
                    .record_time(since.unwrap_or(Duration::ZERO), &labels);
            }
        }
    }
}
