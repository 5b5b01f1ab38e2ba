//! Group commit: the commands of many callers in one transaction, with one reply per caller.
//!
//! ```text
//! callers ──submit──▶ queue ──all queued commands──▶ Committer::commit (one transaction) ──▶ one reply each
//! ```
//!
//! A batch consists of the commands that queued while every writer was committing. There is no timer: an idle writer commits at once,
//! and under load all queued callers share one fsync. If one command fails the batch, the commands are retried one at a
//! time, so that the others succeed; commands must therefore be idempotent. If the database is unavailable
//! ([`crate::error::ErrorClass::Unavailable`]), the batch fails as a whole, or what is left of it: single retries would multiply the
//! wait by the number of commands.
//!
//! A caller that drops its future (deadline passed, client disconnected) cancels a command that is still queued. A command
//! whose commit has started is committed.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Permit};
use tokio::sync::{Mutex, oneshot};
use tokio_util::task::TaskTracker;

use crate::error::Classified;
use telemetry::span::Span;

mod writer;

mod instrumentation;

use instrumentation::CommitTelemetry;
use writer::Writer;

/// Commits a batch of commands in one transaction.
#[async_trait]
pub trait Committer: Send + Sync + 'static {
    type Command: Send + Sync + 'static;
    type Reply: Send + 'static;
    type Error: Classified + Send + 'static;

    /// The name of the writer in telemetry: one word.
    const NAME: &'static str;

    /// Whether commits of this writer pass the crash points. False for a committer that only reads: a test that crashes at
    /// the third commit means the third durable one.
    const HAS_CRASH_POINTS: bool = true;

    /// Commits all commands or none; returns one reply per command, in the same order.
    async fn commit(&self, batch: &[Self::Command]) -> Result<Vec<Self::Reply>, Self::Error>;
}

/// Limits of a group commit.
#[derive(Clone, Copy, Debug)]
pub struct GroupCommitConfig {
    /// Maximum commands per transaction. More than about 200 only add latency (measured on both databases).
    pub max_batch: usize,
    /// Maximum queued commands; [`GroupCommit::submit`] rejects further ones at once.
    pub queue: usize,
    /// Concurrent commits. With more than one, a command does not wait for the commit before it.
    pub writers: usize,
}

impl Default for GroupCommitConfig {
    fn default() -> Self {
        Self {
            max_batch: 200,
            queue: 4_096,
            writers: 1,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SubmitError<E> {
    /// The command was not queued.
    #[error("the commit queue is full")]
    QueueFull,
    /// The service is stopping. A queued command may have been committed.
    #[error("the writer has stopped")]
    Stopped,
    /// The transaction failed as a whole; another caller of the batch got the error, or it panicked, and the log has it. The
    /// outcome is unknown: retry the command.
    #[error("the transaction of the batch failed")]
    BatchFailed,
    /// The transaction failed. If the database failed during COMMIT, the outcome is unknown: retry the command.
    #[error("the transaction failed")]
    Failed(#[source] E),
}

/// The reply to one command.
pub type Answer<C> = Result<<C as Committer>::Reply, SubmitError<<C as Committer>::Error>>;

struct Submission<C: Committer> {
    command: C::Command,
    caller: Caller<C>,
}

/// The waiting caller, and the span of its wait.
struct Caller<C: Committer> {
    answer: oneshot::Sender<Answer<C>>,
    span: Span,
}

/// A handle to the writers; clones share the queue.
pub struct GroupCommit<C: Committer> {
    queue: mpsc::Sender<Submission<C>>,
    telemetry: Arc<CommitTelemetry>,
}

impl<C: Committer> Clone for GroupCommit<C> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            telemetry: Arc::clone(&self.telemetry),
        }
    }
}

impl<C: Committer> std::fmt::Debug for GroupCommit<C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("GroupCommit")
            .finish_non_exhaustive()
    }
}

impl<C: Committer> GroupCommit<C> {
    /// Starts the writers on `tracker`. They end when the last handle is dropped and the queue is empty.
    pub fn start(committer: C, config: GroupCommitConfig, tracker: &TaskTracker) -> Self {
        let (queue, submissions) = mpsc::channel(config.queue);
        let telemetry = Arc::new(CommitTelemetry::new(C::NAME));
        telemetry.observe_queue(queue.downgrade());
        let writer = Arc::new(Writer {
            committer,
            submissions: Mutex::new(submissions),
            max_batch: config.max_batch,
            telemetry: Arc::clone(&telemetry),
        });
        for _ in 0..config.writers.max(1) {
            tracker.spawn(Arc::clone(&writer).run());
        }
        Self { queue, telemetry }
    }

    /// Submits a command and waits for its reply, without a timeout of its own. Dropping the future cancels a command that
    /// is still queued, but not one whose commit has started; retrying the command tells the caller which it was.
    pub async fn submit(&self, command: C::Command) -> Answer<C> {
        let span = self.telemetry.submitted();
        let slot = self.queue.try_reserve().map_err(|error| match error {
            TrySendError::Full(()) => SubmitError::QueueFull,
            TrySendError::Closed(()) => SubmitError::Stopped,
        });
        answer(slot, command, span).await
    }

    /// As [`GroupCommit::submit`], but waits while the queue is full: for callers with their own concurrency limit.
    pub async fn submit_waiting(&self, command: C::Command) -> Answer<C> {
        let span = self.telemetry.submitted();
        let slot = self.queue.reserve().await;
        answer(slot.map_err(|_| SubmitError::Stopped), command, span).await
    }
}

/// Queues the command in its slot and waits for the reply.
async fn answer<C: Committer>(
    slot: Result<Permit<'_, Submission<C>>, SubmitError<C::Error>>,
    command: C::Command,
    span: Span,
) -> Answer<C> {
    let slot = slot.inspect_err(|error| span.fail(error.error_type()))?;
    let (answer, reply) = oneshot::channel();
    let caller = Caller { answer, span };
    slot.send(Submission { command, caller });
    reply.await.unwrap_or(Err(SubmitError::Stopped))
}

impl<C: Committer> Caller<C> {
    fn has_gone(&self) -> bool {
        self.answer.is_closed()
    }

    fn reply(self, answer: Answer<C>) {
        if let Err(error) = &answer {
            self.span.fail(error.error_type());
        }
        // Before the answer: the caller can finish its trace before this task is polled again.
        drop(self.span);
        // No-op if the caller is gone; the command is committed.
        let _ = self.answer.send(answer);
    }
}

#[cfg(test)]
mod tests;
