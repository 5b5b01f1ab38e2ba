//! Shared commits, failures of a command or of a batch, and cancelled callers.

use std::sync::Mutex;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tokio::sync::Semaphore;

use super::*;
use crate::error::ErrorClass;

mod metrics;
mod spans;

/// Doubles numbers, fails on 13, is down on 500 and on 501 alone, panics on 666, and waits for a permit before each commit.
struct Doubler {
    gate: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<usize>>>,
    within: Arc<Mutex<Vec<SpanContext>>>,
}

#[async_trait]
impl Committer for Doubler {
    type Command = u32;
    type Reply = u32;
    type Error = &'static str;

    const NAME: &'static str = "double";

    async fn commit(&self, batch: &[u32]) -> Result<Vec<u32>, &'static str> {
        self.gate.acquire().await.unwrap().forget();
        self.batches.lock().unwrap().push(batch.len());
        let within = Context::current().span().span_context().clone();
        self.within.lock().unwrap().push(within);
        assert!(!batch.contains(&666), "told to panic");
        if batch.contains(&500) || batch == [501] {
            return Err("away");
        }
        if batch.contains(&13) {
            return Err("unlucky");
        }
        Ok(batch.iter().map(|number| number * 2).collect())
    }
}

impl Classified for &'static str {
    fn class(&self) -> ErrorClass {
        match *self {
            "away" => ErrorClass::Unavailable,
            _ => ErrorClass::Unknown,
        }
    }
}

struct Writer {
    handle: GroupCommit<Doubler>,
    gate: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<usize>>>,
    /// The current span of each commit.
    within: Arc<Mutex<Vec<SpanContext>>>,
    tracker: TaskTracker,
}

fn writer(queue: usize) -> Writer {
    writers(1, queue)
}

fn writers(writers: usize, queue: usize) -> Writer {
    let gate = Arc::new(Semaphore::new(0));
    let (batches, within) = (Arc::default(), Arc::default());
    let tracker = TaskTracker::new();
    let doubler = Doubler {
        gate: Arc::clone(&gate),
        batches: Arc::clone(&batches),
        within: Arc::clone(&within),
    };
    let config = GroupCommitConfig {
        max_batch: 10,
        queue,
        writers,
    };
    let handle = GroupCommit::start(doubler, config, &tracker);
    Writer {
        handle,
        gate,
        batches,
        within,
        tracker,
    }
}

/// Polls each submission once, so that all are queued, then lets the writer run.
async fn submit_together(
    writer: &Writer,
    numbers: &[u32],
) -> Vec<Result<u32, SubmitError<&'static str>>> {
    let submissions = numbers.iter().map(|number| writer.handle.submit(*number));
    let all = futures::future::join_all(submissions);
    tokio::pin!(all);
    assert!(futures::poll!(&mut all).is_pending());
    writer.gate.add_permits(100);
    all.await
}

#[tokio::test]
async fn commands_that_wait_together_share_a_commit_and_each_gets_its_own_reply() {
    let writer = writer(10);

    let replies = submit_together(&writer, &[1, 2, 3]).await;

    let replies: Vec<_> = replies.into_iter().map(Result::unwrap).collect();
    assert_eq!(replies, [2, 4, 6]);
    assert_eq!(*writer.batches.lock().unwrap(), [3]);
}

#[tokio::test]
async fn one_failing_command_does_not_fail_the_rest_of_its_batch() {
    let writer = writer(10);

    let replies = submit_together(&writer, &[1, 13, 3]).await;

    assert!(matches!(replies[0], Ok(2)));
    assert!(matches!(replies[1], Err(SubmitError::Failed("unlucky"))));
    assert!(matches!(replies[2], Ok(6)));
    assert_eq!(*writer.batches.lock().unwrap(), [3, 1, 1, 1]);
}

#[tokio::test]
async fn a_batch_is_not_retried_one_by_one_while_the_database_is_down() {
    let writer = writer(10);

    let replies = submit_together(&writer, &[1, 500, 3]).await;

    assert!(matches!(replies[0], Err(SubmitError::Failed("away"))));
    assert!(matches!(replies[1], Err(SubmitError::BatchFailed)));
    assert!(matches!(replies[2], Err(SubmitError::BatchFailed)));
    assert_eq!(*writer.batches.lock().unwrap(), [3]);
}

#[tokio::test]
async fn single_retries_end_when_the_database_goes_down_meanwhile() {
    let writer = writer(10);

    let replies = submit_together(&writer, &[1, 13, 501, 3, 4]).await;

    assert!(matches!(replies[0], Ok(2)));
    assert!(matches!(replies[1], Err(SubmitError::Failed("unlucky"))));
    assert!(matches!(replies[2], Err(SubmitError::Failed("away"))));
    assert!(matches!(replies[3], Err(SubmitError::BatchFailed)));
    assert!(matches!(replies[4], Err(SubmitError::BatchFailed)));
    assert_eq!(*writer.batches.lock().unwrap(), [5, 1, 1, 1]);
}

#[tokio::test]
async fn a_second_writer_commits_while_the_first_one_does() {
    let writer = writers(2, 10);
    let (first, second) = (writer.handle.submit(1), writer.handle.submit(2));
    tokio::pin!(first, second);
    assert!(futures::poll!(&mut first).is_pending());
    // The first writer takes the command and waits at the gate.
    while writer.handle.queue.capacity() < 10 {
        tokio::task::yield_now().await;
    }
    assert!(futures::poll!(&mut second).is_pending());
    while writer.handle.queue.capacity() < 10 {
        tokio::task::yield_now().await;
    }

    writer.gate.add_permits(2);

    assert!(matches!(first.await, Ok(2)));
    assert!(matches!(second.await, Ok(4)));
    assert_eq!(*writer.batches.lock().unwrap(), [1, 1]);
}

/// A command that panics when it is dropped, after its commit.
struct PanicsLate(bool);

impl Drop for PanicsLate {
    fn drop(&mut self) {
        assert!(!self.0, "told to panic");
    }
}

struct Nothing;

#[async_trait]
impl Committer for Nothing {
    type Command = PanicsLate;
    type Reply = ();
    type Error = &'static str;

    const NAME: &'static str = "nothing";

    async fn commit(&self, batch: &[PanicsLate]) -> Result<Vec<()>, &'static str> {
        Ok(vec![(); batch.len()])
    }
}

#[tokio::test]
async fn a_panic_outside_of_a_commit_does_not_end_the_writer() {
    let config = GroupCommitConfig {
        max_batch: 10,
        queue: 10,
        writers: 1,
    };
    let handle = GroupCommit::start(Nothing, config, &TaskTracker::new());

    assert!(matches!(handle.submit(PanicsLate(true)).await, Ok(())));

    assert!(matches!(handle.submit(PanicsLate(false)).await, Ok(())));
}

#[tokio::test]
async fn a_commit_that_panics_does_not_end_the_writer() {
    let writer = writer(10);

    let replies = submit_together(&writer, &[1, 666]).await;

    assert!(
        replies
            .iter()
            .all(|reply| matches!(reply, Err(SubmitError::BatchFailed)))
    );
    assert!(matches!(writer.handle.submit(2).await, Ok(4)));
}

#[tokio::test]
async fn a_full_queue_rejects_at_once() {
    let writer = writer(2);

    let replies = submit_together(&writer, &[1, 2, 3]).await;

    assert!(matches!(replies[2], Err(SubmitError::QueueFull)));
    assert!(matches!(replies[0], Ok(2)));
}

#[tokio::test]
async fn a_command_whose_commit_has_started_is_committed_after_its_caller_is_dropped() {
    let writer = writer(10);
    {
        let submission = writer.handle.submit(1);
        tokio::pin!(submission);
        assert!(futures::poll!(&mut submission).is_pending());
        // The writer takes it and waits at the gate.
        tokio::task::yield_now().await;
    }

    writer.gate.add_permits(1);
    drop(writer.handle);
    writer.tracker.close();
    writer.tracker.wait().await;

    assert_eq!(*writer.batches.lock().unwrap(), [1]);
}

#[tokio::test]
async fn a_queued_command_is_not_committed_after_its_caller_is_dropped() {
    let writer = writer(10);
    let first = writer.handle.submit(1);
    tokio::pin!(first);
    assert!(futures::poll!(&mut first).is_pending());
    tokio::task::yield_now().await;
    {
        let given_up = writer.handle.submit(2);
        tokio::pin!(given_up);
        assert!(futures::poll!(&mut given_up).is_pending());
    }

    writer.gate.add_permits(2);
    let third = writer.handle.submit(3);

    assert!(matches!(first.await, Ok(2)));
    assert!(matches!(third.await, Ok(6)));
    assert_eq!(*writer.batches.lock().unwrap(), [1, 1]);
}
