//! Group commit: many callers, one transaction, each caller its own answer.
//!
//! ```text
//! callers ──submit──▶ queue ──whatever waits──▶ Committer::commit (one transaction) ──▶ one reply each
//! ```
//!
//! A batch is what came in while the previous commit ran: there is no timer, an idle system commits at once, and a busy
//! one shares each fsync among as many callers as there are. A batch that fails because of one of its commands is repeated
//! one command at a time, so that a bad row costs its neighbours nothing but time; commands must therefore be idempotent.
//! A batch that fails because the database is away fails as a whole: trying its commands one by one would multiply the
//! wait by their number.
//!
//! A caller that goes away, because its deadline has passed or its client has left, takes a command back that still waits:
//! nobody would learn of its reply. A command whose commit has begun is carried out all the same.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use telemetry::span::Span;

mod writer;

mod instrumentation;

use instrumentation::CommitTelemetry;
use writer::Writer;

/// Carries out a batch of commands in one transaction.
#[async_trait]
pub trait Committer: Send + Sync + 'static {
    /// What a caller asks for.
    type Command: Send + Sync + 'static;
    /// What the caller gets.
    type Reply: Send + 'static;
    /// Why the transaction failed; nothing of it took place.
    type Error: Send + 'static;

    /// What the writer is called in telemetry, in a word.
    const NAME: &'static str;

    /// Whether the crash points around a commit lie around this one. A committer that only reads has none: a test that
    /// plans a crash at the third commit means the third one that something depends on.
    const HAS_CRASH_POINTS: bool = true;

    /// Commits all commands or none, and answers each, in their order.
    async fn commit(&self, batch: &[Self::Command]) -> Result<Vec<Self::Reply>, Self::Error>;

    /// Whether every other batch would have failed as well, because the database is away or does not answer.
    fn concerns_whole_batch(&self, error: &Self::Error) -> bool;
}

/// Bounds of a group commit.
#[derive(Clone, Copy, Debug)]
pub struct GroupCommitConfig {
    /// Commands per transaction. Beyond about 200 a batch only adds latency (measured on both databases).
    pub max_batch: usize,
    /// Commands that may wait; one more is refused at once.
    pub queue: usize,
    /// Commits that may be in work at once. With more than one, a command does not wait for those before it.
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

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError<E> {
    /// Too many commands wait; this one was not taken.
    #[error("too many commands wait")]
    QueueFull,
    /// The service is stopping, or the commit panicked. A command that was already taken may have been committed.
    #[error("the writer did not answer")]
    Stopped,
    /// The transaction of its batch failed as a whole; another caller of the batch has the reason.
    #[error("the transaction of the batch failed")]
    BatchFailed,
    /// The transaction failed. If the database failed while committing, the outcome is unknown to it, too: repeat.
    #[error("the transaction failed")]
    Failed(#[source] E),
}

type Answer<C> = Result<<C as Committer>::Reply, SubmitError<<C as Committer>::Error>>;

struct Submission<C: Committer> {
    command: C::Command,
    caller: Caller<C>,
}

/// Who waits for an answer, and the span of waiting.
struct Caller<C: Committer> {
    answer: oneshot::Sender<Answer<C>>,
    span: Span,
}

/// A handle to the writer; clones share it.
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
    /// Starts the writers on `tracker`. They end when the last handle is gone and the queue is empty.
    pub fn start(committer: C, config: GroupCommitConfig, tracker: &TaskTracker) -> Self {
        let (queue, submissions) = mpsc::channel(config.queue);
        let telemetry = Arc::new(CommitTelemetry::new(C::NAME));
        telemetry.observe_queue(queue.downgrade());
        let writer = Writer {
            committer: Arc::new(committer),
            submissions: Arc::new(Mutex::new(submissions)),
            max_batch: config.max_batch,
            telemetry: Arc::clone(&telemetry),
        };
        for _ in 0..config.writers.max(1) {
            tracker.spawn(writer.clone().run());
        }
        Self { queue, telemetry }
    }

    /// Has the command carried out and waits for its reply. Waits as long as the database does, so callers bring a
    /// deadline of their own. Giving up takes a command back that still waits, and does not undo one whose commit has
    /// begun: which of the two it was, the caller learns by repeating it.
    pub async fn submit(&self, command: C::Command) -> Result<C::Reply, SubmitError<C::Error>> {
        let (submission, reply) = self.submission(command);
        if let Err(refused) = self.queue.try_send(submission) {
            let (error, submission) = match refused {
                mpsc::error::TrySendError::Full(submission) => (SubmitError::QueueFull, submission),
                mpsc::error::TrySendError::Closed(submission) => (SubmitError::Stopped, submission),
            };
            submission.caller.span.fail(error.error_type());
            return Err(error);
        }
        reply.await.unwrap_or(Err(SubmitError::Stopped))
    }

    /// As [`GroupCommit::submit`], but a full queue makes the caller wait: for callers that bound themselves.
    pub async fn submit_waiting(
        &self,
        command: C::Command,
    ) -> Result<C::Reply, SubmitError<C::Error>> {
        let (submission, reply) = self.submission(command);
        if let Err(mpsc::error::SendError(submission)) = self.queue.send(submission).await {
            let error = SubmitError::Stopped;
            submission.caller.span.fail(error.error_type());
            return Err(error);
        }
        reply.await.unwrap_or(Err(SubmitError::Stopped))
    }

    fn submission(&self, command: C::Command) -> (Submission<C>, oneshot::Receiver<Answer<C>>) {
        let (answer, reply) = oneshot::channel();
        let span = self.telemetry.submitted();
        let caller = Caller { answer, span };
        (Submission { command, caller }, reply)
    }
}

impl<C: Committer> Caller<C> {
    fn has_gone(&self) -> bool {
        self.answer.is_closed()
    }

    fn tell(self, answer: Answer<C>) {
        if let Err(error) = &answer {
            self.span.fail(error.error_type());
        }
        // Who has the answer may be done before this task is polled again: the span ends first.
        drop(self.span);
        // The caller may have given up; the command took place all the same.
        let _ = self.answer.send(answer);
    }
}

#[cfg(test)]
mod tests;
