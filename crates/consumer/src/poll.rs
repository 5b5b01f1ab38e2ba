//! The thread that polls Kafka: it keeps the group membership alive, serves rebalances and triggers commits.
//!
//! It is an operating system thread, because librdkafka runs the rebalance callbacks on it and a revoke blocks until the
//! partitions are drained, which must not block a runtime worker. Records are read by the partitions' tasks.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempts::Shared;
use crate::handler::BoxError;
use crate::rebalance::Context;
use kafka::KafkaConfig;
use kafka::record::Record;
use service::command_line::ExitError;

/// Timeout of a poll, and so the delay until a shutdown is noticed.
const POLL: Duration = Duration::from_millis(50);

/// Time between commits. A crash delivers again what was completed since the last one, and whatever is complete above the
/// lowest incomplete offset.
const COMMIT_INTERVAL: Duration = Duration::from_millis(200);

/// Time between commits of all offsets. The result of an asynchronous commit is unknown (the consumer of rdkafka 0.39 does
/// not call its commit callback), so this repeats one that failed.
const COMMIT_AGAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Timeout of the last commit and of leaving the group: two round trips, either of which hangs while the broker is down.
const CLOSE: Duration = Duration::from_secs(5);

/// Why a consumer ended other than by its shutdown.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The client could not be created or subscribed.
    #[error("setting up the kafka client")]
    Client(#[from] KafkaError),
    /// librdkafka or the broker reported a fatal error.
    #[error("fatal error of the kafka client: {0}")]
    Broken(String),
    /// The handler answered [`crate::Failure::Fatal`].
    #[error("fatal error of the handler")]
    Handler(#[source] BoxError),
    /// A task of the consumer panicked, outside of a handler.
    #[error("panic in a task of the consumer: {0}")]
    Panicked(&'static str),
    /// The poll thread could not be started.
    #[error("starting the poll thread")]
    Thread(#[source] std::io::Error),
    /// The poll thread ended without an error.
    #[error("the poll thread ended unexpectedly")]
    ThreadGone,
}

impl From<ConsumerError> for ExitError {
    fn from(error: ConsumerError) -> Self {
        Self::failed(error)
    }
}

/// Polls on its own thread until `shutdown` or the first fatal error.
pub(crate) async fn run(
    kafka: &KafkaConfig,
    shared: Arc<Shared>,
    mut fatal: mpsc::Receiver<ConsumerError>,
    shutdown: CancellationToken,
) -> Result<(), ConsumerError> {
    let (broken_sender, mut broken) = mpsc::channel(1);
    let drain = kafka.group.drain;
    let config = shared.config().clone();
    let context = Context::new(shared, Handle::current(), drain, broken_sender);
    let consumer: BaseConsumer<Context> =
        kafka.consumer(&config.group).create_with_context(context)?;
    let consumer = Arc::new(consumer);
    consumer.context().attach(&consumer);
    consumer.subscribe(&[&config.topic])?;

    let stop = shutdown.child_token();
    let mut finished = spawn(consumer, stop.clone())?;
    let result = until_over(&shutdown, &mut fatal, &mut broken, &mut finished).await;
    stop.cancel();
    if finished.is_terminated() {
        return result;
    }
    if tokio::time::timeout(drain + CLOSE, finished).await.is_err() {
        // The process may exit while the client hangs: what it did not commit is delivered again.
        tracing::warn!(topic = &*config.topic, "kafka consumer close timed out");
    }
    result
}

/// Waits for the shutdown or a fatal error.
async fn until_over(
    shutdown: &CancellationToken,
    fatal: &mut mpsc::Receiver<ConsumerError>,
    broken: &mut mpsc::Receiver<String>,
    finished: &mut oneshot::Receiver<()>,
) -> Result<(), ConsumerError> {
    tokio::select! {
        // Biased: the thread sees the shutdown too, and on a busy machine it may end before this task runs.
        biased;
        () = shutdown.cancelled() => Ok(()),
        Some(error) = fatal.recv() => Err(error),
        Some(reason) = broken.recv() => Err(ConsumerError::Broken(reason)),
        _ = finished => Err(ConsumerError::ThreadGone),
    }
}

fn spawn(
    consumer: Arc<BaseConsumer<Context>>,
    stop: CancellationToken,
) -> Result<oneshot::Receiver<()>, ConsumerError> {
    let (done, finished) = oneshot::channel();
    std::thread::Builder::new()
        .name("kafka-poll".to_owned())
        .spawn(move || {
            poll_until(&consumer, &stop);
            consumer.context().release_all(&consumer);
            // Closing leaves the group and runs callbacks on this thread.
            drop(consumer);
            let _ = done.send(());
        })
        .map_err(ConsumerError::Thread)?;
    Ok(finished)
}

fn poll_until(consumer: &BaseConsumer<Context>, stop: &CancellationToken) {
    let context = consumer.context();
    let (mut committed, mut committed_again) = (Instant::now(), Instant::now());
    while !stop.is_cancelled() {
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => context.stray(Record::from(&message)),
            Some(Err(error)) => context.report(&error),
        }
        if is_over(&mut committed_again, COMMIT_AGAIN_INTERVAL) {
            context.forget_committed();
        }
        if is_over(&mut committed, COMMIT_INTERVAL) {
            context.commit_progress(consumer);
            context.report_deleted(consumer);
        }
    }
}

/// Whether an interval is over; then the next one begins.
fn is_over(began: &mut Instant, length: Duration) -> bool {
    let over = began.elapsed() >= length;
    if over {
        *began = Instant::now();
    }
    over
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_that_the_shutdown_has_ended_is_no_failure() {
        let (_fatal, mut fatal) = mpsc::channel(1);
        let (_broken, mut broken) = mpsc::channel(1);
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        // Often: an unbiased choice between the two would be right half of the time.
        for _ in 0..100 {
            let (done, mut finished) = oneshot::channel();
            done.send(()).unwrap();

            let over = until_over(&shutdown, &mut fatal, &mut broken, &mut finished).await;

            assert!(over.is_ok(), "{over:?}");
        }
    }
}
