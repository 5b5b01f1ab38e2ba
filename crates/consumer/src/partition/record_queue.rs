//! The records of one partition session, until the partition is revoked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::ConsumerContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use tokio::sync::Notify;

use kafka::record::Record;

/// librdkafka signals when the queue turns from empty to filled. A signal that it coalesced with an event of its own would
/// be missed; a look this often makes that harmless.
const RECHECK: Duration = Duration::from_millis(100);

/// Takes the next record out of a queue, without waiting.
type Poll = Box<dyn Fn() -> Option<Result<Record, KafkaError>> + Send>;

/// A partition's queue, read by the partition's task and closed by the poll thread.
///
/// Closing makes a revoke safe: librdkafka gives every assignment of a partition the same queue, so a task of an earlier
/// assignment that could still read would take records of the next one, and they would not be handled.
pub(crate) struct RecordQueue {
    poll: Mutex<Option<Poll>>,
    filled: Arc<Notify>,
}

impl RecordQueue {
    pub(crate) fn new<C: ConsumerContext + 'static>(mut queue: PartitionQueue<C>) -> Self {
        let filled = Arc::new(Notify::new());
        let signal = Arc::clone(&filled);
        queue.set_nonempty_callback(move || signal.notify_one());
        let poll: Poll = Box::new(move || {
            let message = queue.poll(Duration::ZERO)?;
            Some(message.map(|message| Record::from(&message)))
        });
        Self {
            poll: Mutex::new(Some(poll)),
            filled,
        }
    }

    /// A queue of records in memory.
    #[cfg(test)]
    pub(crate) fn of(records: Vec<Record>) -> Self {
        let records = Mutex::new(records.into_iter());
        let poll: Poll = Box::new(move || records.lock().ok()?.next().map(Ok));
        Self {
            poll: Mutex::new(Some(poll)),
            filled: Arc::default(),
        }
    }

    /// The next records, at most `limit`; fewer if the queue is empty, none once it is closed.
    pub(crate) fn read(&self, limit: usize) -> Vec<Record> {
        let poll = self.poll();
        let Some(poll) = poll.as_ref() else {
            return Vec::new();
        };
        let mut records = Vec::new();
        while records.len() < limit {
            match poll() {
                None => break,
                Some(Ok(record)) => records.push(record),
                // Already reported to the context, as every error of the client.
                Some(Err(_)) => {}
            }
        }
        records
    }

    /// Waits until the queue may hold records again.
    pub(crate) async fn filled(&self) {
        // Signal or timeout: the caller reads in both cases.
        let _ = tokio::time::timeout(RECHECK, self.filled.notified()).await;
    }

    /// Drops the queue: from here on nothing is read, and the queue no longer keeps the consumer alive.
    pub(crate) fn close(&self) {
        self.poll().take();
    }

    fn poll(&self) -> MutexGuard<'_, Option<Poll>> {
        // Consistent after every operation, so a panic elsewhere does not matter.
        self.poll.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
