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

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::crash_points::{CrashPoint, reach};

/// Carries out a batch of commands in one transaction.
#[async_trait]
pub trait Committer: Send + Sync + 'static {
    /// What a caller asks for.
    type Command: Send + Sync + 'static;
    /// What the caller gets.
    type Reply: Send + 'static;
    /// Why the transaction failed; nothing of it took place.
    type Error: Send + 'static;

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
    answer: oneshot::Sender<Answer<C>>,
}

/// A handle to the writer; clones share it.
pub struct GroupCommit<C: Committer> {
    queue: mpsc::Sender<Submission<C>>,
}

impl<C: Committer> Clone for GroupCommit<C> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
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
        let committer = Arc::new(committer);
        let submissions = Arc::new(Mutex::new(submissions));
        for _ in 0..config.writers.max(1) {
            let (committer, submissions) = (Arc::clone(&committer), Arc::clone(&submissions));
            tracker.spawn(write(committer, submissions, config.max_batch));
        }
        Self { queue }
    }

    /// Has the command carried out and waits for its reply. Waits as long as the database does, so callers bring a
    /// deadline of their own. Giving up takes a command back that still waits, and does not undo one whose commit has
    /// begun: which of the two it was, the caller learns by repeating it.
    pub async fn submit(&self, command: C::Command) -> Result<C::Reply, SubmitError<C::Error>> {
        let (answer, reply) = oneshot::channel();
        self.queue
            .try_send(Submission { command, answer })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => SubmitError::QueueFull,
                mpsc::error::TrySendError::Closed(_) => SubmitError::Stopped,
            })?;
        reply.await.unwrap_or(Err(SubmitError::Stopped))
    }

    /// As [`GroupCommit::submit`], but a full queue makes the caller wait: for callers that bound themselves.
    pub async fn submit_waiting(
        &self,
        command: C::Command,
    ) -> Result<C::Reply, SubmitError<C::Error>> {
        let (answer, reply) = oneshot::channel();
        self.queue
            .send(Submission { command, answer })
            .await
            .map_err(|_| SubmitError::Stopped)?;
        reply.await.unwrap_or(Err(SubmitError::Stopped))
    }
}

/// The queue, of which one writer at a time takes a batch.
type Submissions<C> = Arc<Mutex<mpsc::Receiver<Submission<C>>>>;

async fn write<C: Committer>(committer: Arc<C>, submissions: Submissions<C>, max_batch: usize) {
    let mut waiting = Vec::with_capacity(max_batch);
    while take_batch(&submissions, &mut waiting, max_batch).await {
        let (commands, answers): (Vec<_>, Vec<_>) =
            waiting.drain(..).map(|s| (s.command, s.answer)).unzip();
        // A panic is a defect of one command: it must not end the writer, and with it every write of the service. The
        // callers of its batch are told by their channels closing.
        let batch = AssertUnwindSafe(commit_batch(committer.as_ref(), &commands));
        let Ok(replies) = batch.catch_unwind().await else {
            tracing::error!(commands = commands.len(), "a commit panicked");
            continue;
        };
        for (answer, reply) in answers.into_iter().zip(replies) {
            // The caller may have given up; the command took place all the same.
            let _ = answer.send(reply);
        }
    }
}

/// Takes what waits, or waits for something, and returns whether there can be more. Leaves out what nobody waits for
/// any more, which may be all of it.
async fn take_batch<C: Committer>(
    submissions: &Submissions<C>,
    batch: &mut Vec<Submission<C>>,
    max_batch: usize,
) -> bool {
    let taken = submissions.lock().await.recv_many(batch, max_batch).await;
    batch.retain(|submission| !submission.answer.is_closed());
    taken > 0
}

async fn commit_batch<C: Committer>(committer: &C, commands: &[C::Command]) -> Vec<Answer<C>> {
    if commands.is_empty() {
        return Vec::new();
    }
    if interrupted::<C>(CrashPoint::BeforeCommit) {
        return leave_unanswered(commands.len());
    }
    match committer.commit(commands).await {
        Ok(_) if interrupted::<C>(CrashPoint::AfterCommit) => leave_unanswered(commands.len()),
        Ok(replies) => replies.into_iter().map(Ok).collect(),
        Err(error) if commands.len() == 1 || committer.concerns_whole_batch(&error) => {
            fail_batch(error, commands.len())
        }
        Err(_) => commit_one_by_one(committer, commands).await,
    }
}

fn interrupted<C: Committer>(place: CrashPoint) -> bool {
    C::HAS_CRASH_POINTS && reach(place).is_err()
}

fn fail_batch<R, E>(error: E, commands: usize) -> Vec<Result<R, SubmitError<E>>> {
    let others = (1..commands).map(|_| Err(SubmitError::BatchFailed));
    std::iter::once(Err(SubmitError::Failed(error)))
        .chain(others)
        .collect()
}

/// What callers see when a commit was interrupted: whether it took place is not known.
fn leave_unanswered<R, E>(commands: usize) -> Vec<Result<R, SubmitError<E>>> {
    (0..commands).map(|_| Err(SubmitError::Stopped)).collect()
}

async fn commit_one_by_one<C: Committer>(committer: &C, commands: &[C::Command]) -> Vec<Answer<C>> {
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        let reply = committer.commit(std::slice::from_ref(command)).await;
        let reply = reply.map(|mut replies| replies.pop());
        answers.push(match reply {
            Ok(Some(reply)) => Ok(reply),
            // A committer that answers nothing has broken its contract: the caller must not wait for ever.
            Ok(None) => Err(SubmitError::Stopped),
            Err(error) => Err(SubmitError::Failed(error)),
        });
    }
    answers
}

#[cfg(test)]
mod tests;
