//! One attempt to handle a record.

use std::ops::Deref;
use std::sync::Arc;

use kafka::record::Record;

use super::lanes::Lane;

/// One attempt to handle a record.
#[derive(Clone, Debug)]
pub struct Delivery {
    record: Arc<Record>,
    attempt: u32,
    lane: Arc<Lane>,
}

impl Delivery {
    pub(super) fn in_lane(record: Arc<Record>, attempt: u32, lane: Arc<Lane>) -> Self {
        Self {
            record,
            attempt,
            lane,
        }
    }

    /// A delivery outside a consumer, for handlers' tests: `followers` wait behind it.
    pub fn new(record: Record, attempt: u32, followers: Vec<Record>) -> Self {
        let lane = Arc::new(Lane::default());
        followers
            .into_iter()
            .for_each(|record| lane.wait(Arc::new(record)));
        Self::in_lane(Arc::new(record), attempt, lane)
    }

    /// Which attempt this is, from 1, since the record was last delivered by the broker; one that was parked is counted on.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Records of the same key that have already arrived and wait until this one is done, in order. A long-running
    /// handler looks here to learn that its work has been overtaken by events, for example by a cancellation.
    ///
    /// None for a record that was parked: what came later is parked behind it, and comes in its turn.
    pub fn followers(&self) -> Vec<Arc<Record>> {
        self.lane.waiting()
    }
}

impl Deref for Delivery {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}
