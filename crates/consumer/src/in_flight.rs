//! Work that ended, and work that an assignment leaves running when it ends.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::lanes::Lanes;
use super::work::Outcome;
use kafka::record::Record;

/// Which assignment something belongs to: each assignment of any partition has its own number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Epoch(pub(super) u64);

/// Work that ended, and the assignment that it was begun in.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) epoch: Epoch,
    pub(super) record: Arc<Record>,
    pub(super) outcome: Outcome,
}

/// What an assignment left running when it ended: handlers, and the lanes that they occupy.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    pub(super) in_work: JoinSet<Finished>,
    pub(super) lanes: Lanes,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Dropping the set would cut the handlers off. What they finish is not committed, will be delivered again, and
        // the inbox drops it then.
        self.in_work.detach_all();
    }
}
