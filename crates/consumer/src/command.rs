//! What the poll thread tells the task of a partition.

use tokio::time::Instant;

use kafka::record::Record;

/// A command.
#[derive(Debug)]
pub(super) enum Command {
    /// A record of this partition that arrived on the consumer's main queue, as librdkafka reserves itself to do.
    Stray(Record),
    /// Finish what is in work, then say so. The source is closed already.
    Drain(Drain),
}

/// The order to finish.
#[derive(Debug)]
pub(super) struct Drain {
    /// How long handlers may still take.
    pub(super) deadline: Instant,
    /// Dropped unused if the task is gone.
    pub(super) drained: std::sync::mpsc::SyncSender<()>,
}
