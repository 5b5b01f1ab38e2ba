//! Where the records of one assignment of a partition come from, until it is revoked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use tokio::sync::Notify;

use super::rebalance::Context;
use kafka::record::Record;

/// The queue signals when it turns from empty to filled. A signal that librdkafka coalesced with an event of its own
/// would be missed; looking this often makes that harmless.
const RECHECK: Duration = Duration::from_millis(100);

/// A partition's queue, read by the partition's task and closed by the poll thread.
///
/// Closing is what makes a revoke safe: librdkafka gives every assignment of a partition the same queue, so a task of
/// an earlier assignment that could still read would swallow records of the next one, and nobody would handle them.
pub(super) struct Source {
    queue: Mutex<Option<PartitionQueue<Context>>>,
    filled: Arc<Notify>,
}

impl Source {
    pub(super) fn new(mut queue: PartitionQueue<Context>) -> Self {
        let filled = Arc::new(Notify::new());
        let signal = Arc::clone(&filled);
        queue.set_nonempty_callback(move || signal.notify_one());
        Self {
            queue: Mutex::new(Some(queue)),
            filled,
        }
    }

    /// The next records, at most `most`; fewer if the queue is empty, none once it is closed.
    pub(super) fn read(&self, most: usize) -> Vec<Record> {
        let queue = self.queue();
        let Some(queue) = queue.as_ref() else {
            return Vec::new();
        };
        let mut records = Vec::new();
        while records.len() < most {
            match queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => records.push(Record::from(&message)),
                // The context has it already, as it has every error of the client.
                Some(Err(_)) => {}
            }
        }
        records
    }

    /// Waits until there may be records again.
    pub(super) async fn filled(&self) {
        // Either way the queue is looked at.
        let _ = tokio::time::timeout(RECHECK, self.filled.notified()).await;
    }

    /// Gives the queue back: from here on nothing is read, and the queue no longer keeps the consumer alive.
    pub(super) fn close(&self) {
        self.queue().take();
    }

    fn queue(&self) -> MutexGuard<'_, Option<PartitionQueue<Context>>> {
        // Whole after every operation: a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
