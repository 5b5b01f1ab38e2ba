//! The writer task of a group commit: takes the queued commands, commits them together and replies to each caller.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::{Mutex, mpsc};

use super::instrumentation::{CANCELLED, CommitTelemetry};
use super::{Answer, Caller, Committer, Submission, SubmitError};
use crate::error::{Classified, ErrorClass};
use service::crash_points::{CrashPoint, reach};

/// Shared by the writer tasks; one task at a time takes a batch.
pub(super) struct Writer<C: Committer> {
    pub(super) committer: C,
    pub(super) submissions: Mutex<mpsc::Receiver<Submission<C>>>,
    pub(super) max_batch: usize,
    pub(super) telemetry: Arc<CommitTelemetry>,
}

impl<C: Committer> Writer<C> {
    /// Runs until all handles are dropped and the queue is empty. A panic outside of a commit, for example when a command is
    /// dropped, must not end all writes of the service either.
    pub(super) async fn run(self: Arc<Self>) {
        while AssertUnwindSafe(self.serve()).catch_unwind().await.is_err() {
            tracing::error!(writer = C::NAME, "group commit writer panicked, restarted");
        }
    }

    async fn serve(&self) {
        let mut waiting = Vec::with_capacity(self.max_batch);
        while self.take_batch(&mut waiting).await {
            if waiting.is_empty() {
                continue;
            }
            let (commands, callers): (Vec<_>, Vec<_>) =
                waiting.drain(..).map(|s| (s.command, s.caller)).unzip();
            let answers = self.answers(&commands, &callers).await;
            for (caller, answer) in callers.into_iter().zip(answers) {
                caller.reply(answer);
            }
        }
    }

    /// Takes the queued commands, or waits for one; returns false when the queue is closed. Commands of callers that are
    /// gone are removed, so the batch can be empty.
    async fn take_batch(&self, batch: &mut Vec<Submission<C>>) -> bool {
        let mut submissions = self.submissions.lock().await;
        let taken = submissions.recv_many(batch, self.max_batch).await;
        drop(submissions);
        batch.retain(|submission| {
            let caller = &submission.caller;
            if caller.has_gone() {
                caller.span.fail(CANCELLED);
            }
            !caller.has_gone()
        });
        taken > 0
    }

    async fn answers(&self, commands: &[C::Command], callers: &[Caller<C>]) -> Vec<Answer<C>> {
        let batch = self.telemetry.begin(callers.iter().map(|c| &c.span));
        // A panic is a defect of one command. It must not end the writer, and so all writes of the service.
        let commit = batch.carry(commit_batch(&self.committer, commands));
        let answers = AssertUnwindSafe(commit).catch_unwind().await;
        let answers = answers.unwrap_or_else(|_| {
            tracing::error!(commands = commands.len(), "commit panicked");
            (0..commands.len())
                .map(|_| Err(SubmitError::BatchFailed))
                .collect()
        });
        batch.ended(&answers);
        answers
    }
}

async fn commit_batch<C: Committer>(committer: &C, commands: &[C::Command]) -> Vec<Answer<C>> {
    if interrupted::<C>(CrashPoint::BeforeCommit) {
        return leave_unanswered(commands.len());
    }
    match committer.commit(commands).await {
        Ok(_) if interrupted::<C>(CrashPoint::AfterCommit) => leave_unanswered(commands.len()),
        Ok(replies) => replies.into_iter().map(Ok).collect(),
        Err(error) if commands.len() == 1 || error.class() == ErrorClass::Unavailable => {
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

/// The answers to an interrupted commit, whose outcome is unknown.
fn leave_unanswered<R, E>(commands: usize) -> Vec<Result<R, SubmitError<E>>> {
    (0..commands).map(|_| Err(SubmitError::Stopped)).collect()
}

/// Until the database is unavailable: each command after that would wait for it as long.
async fn commit_one_by_one<C: Committer>(committer: &C, commands: &[C::Command]) -> Vec<Answer<C>> {
    let mut answers = Vec::with_capacity(commands.len());
    for command in commands {
        let reply = committer.commit(std::slice::from_ref(command)).await;
        answers.push(match reply.map(|mut replies| replies.pop()) {
            Ok(Some(reply)) => Ok(reply),
            // No reply violates the contract of `Committer`; the caller still gets an answer.
            Ok(None) => Err(SubmitError::Stopped),
            Err(error) if error.class() == ErrorClass::Unavailable => {
                answers.extend(fail_batch(error, commands.len() - answers.len()));
                break;
            }
            Err(error) => Err(SubmitError::Failed(error)),
        });
    }
    answers
}
