//! The partition session in the database: one assignment of one partition, from its begin to its clean end.
//!
//! The begin returns the blocked keys, and whether the previous session ended cleanly. If it did not, a record may have
//! killed its process, so the new session starts guarded ([`crate::crash_loop_guard`]). The end is best effort: a session
//! that starts guarded without need loses a little time and nothing else.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::retry_policy::BACKOFF;
use crate::retry_store::{RetryStore, SessionStart, TopicPartition};
use service::backoff::retry;
use service::error_chain::ErrorChain;

/// Timeout of the end in the database. The poll thread waits half a second longer for a partition than handlers may take,
/// and the partition is not consumed meanwhile.
const END_TIMEOUT: Duration = Duration::from_millis(400);

/// One assignment of one partition.
pub(crate) struct PartitionSession {
    retry_store: Arc<dyn RetryStore>,
    partition: TopicPartition,
    /// New for each assignment: a late end must not end the next session.
    owner: Uuid,
    pub(super) has_begun: bool,
}

impl PartitionSession {
    pub(crate) fn new(retry_store: Arc<dyn RetryStore>, partition: TopicPartition) -> Self {
        Self {
            retry_store,
            partition,
            owner: Uuid::new_v4(),
            has_begun: false,
        }
    }

    /// Begins; retries until the database answers.
    pub(crate) async fn begin(&self) -> SessionStart {
        let begin = || self.retry_store.begin_session(&self.partition, self.owner);
        let start = retry(BACKOFF, begin, |attempt, error| {
            tracing::warn!(
                topic = self.partition.topic,
                partition = self.partition.partition,
                attempt,
                error = %ErrorChain(error),
                "partition session not begun, will be retried"
            );
        })
        .await;
        if start.after_a_crash {
            tracing::info!(
                topic = self.partition.topic,
                partition = self.partition.partition,
                "previous partition session did not end cleanly, starting guarded"
            );
        }
        start
    }

    /// Everything in flight has ended.
    pub(crate) async fn end(&self) {
        if !self.has_begun {
            return;
        }
        let end = self.retry_store.end_session(&self.partition, self.owner);
        if !matches!(tokio::time::timeout(END_TIMEOUT, end).await, Ok(Ok(()))) {
            tracing::info!(
                topic = self.partition.topic,
                partition = self.partition.partition,
                "clean hand-over not recorded, the next partition session starts guarded"
            );
        }
    }
}
