//! The thread that polls Kafka. It does no work of its own: it keeps the membership alive, serves rebalances and
//! commits progress.
//!
//! It is a thread of the operating system, because librdkafka runs the rebalance callbacks on it and a revoke blocks
//! until the partitions are drained, which no runtime worker should.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::rebalance::Context;
use super::scope::Scope;
use super::{BoxError, ConsumerConfig, ConsumerError};
use kafka::KafkaConfig;
use kafka::record::Record;

/// How long a poll waits for an event, and so how late a shutdown is noticed.
const POLL: Duration = Duration::from_millis(50);

/// Time between commits: what a crash delivers again is at most what was completed in this time.
const COMMIT_INTERVAL: Duration = Duration::from_millis(200);

/// Time between commits of everything. The outcome of a commit that is not waited for is never learnt (the consumer of
/// rdkafka 0.39 does not call its commit callback), so one that failed is made good by the next of these.
const COMMIT_AGAIN_INTERVAL: Duration = Duration::from_secs(5);

/// The last commit, and leaving the group: two round trips. With the broker away either can hang and is given up.
const CLOSE: Duration = Duration::from_secs(5);

/// Polls on a thread of its own until `shutdown` or the first error that ends the consumer.
pub(super) async fn run(
    kafka: &KafkaConfig,
    config: &ConsumerConfig,
    scope: Scope,
    mut fatal: mpsc::Receiver<BoxError>,
    shutdown: CancellationToken,
) -> Result<(), ConsumerError> {
    let (broken_sender, mut broken) = mpsc::channel(1);
    let drain = kafka.group.drain;
    let context = Context::new(config.topic, scope, Handle::current(), drain, broken_sender);
    let consumer: BaseConsumer<Context> =
        kafka.consumer(config.group).create_with_context(context)?;
    let consumer = Arc::new(consumer);
    consumer.context().attach(&consumer);
    consumer.subscribe(&[config.topic])?;

    let stop = shutdown.child_token();
    let mut finished = spawn(consumer, stop.clone())?;
    let result = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        Some(cause) = fatal.recv() => Err(ConsumerError::Handler(cause)),
        Some(reason) = broken.recv() => Err(ConsumerError::Broken(reason)),
        _ = &mut finished => return Err(ConsumerError::ThreadGone),
    };
    stop.cancel();
    if tokio::time::timeout(drain + CLOSE, finished).await.is_err() {
        // Everything that counts is committed by now; the process may exit over a client that does not close.
        tracing::warn!(topic = config.topic, "kafka consumer did not close in time");
    }
    result
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
    let mut commit = Interval::new(COMMIT_INTERVAL);
    let mut commit_again = Interval::new(COMMIT_AGAIN_INTERVAL);
    while !stop.is_cancelled() {
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => context.stray(Record::from(&message)),
            Some(Err(error)) => context.report(&error),
        }
        if commit_again.is_over() {
            context.commit_again();
        }
        if commit.is_over() {
            context.commit_progress(consumer);
        }
    }
}

/// Something to do every so often.
struct Interval {
    length: Duration,
    began: Instant,
}

impl Interval {
    fn new(length: Duration) -> Self {
        Self {
            length,
            began: Instant::now(),
        }
    }

    /// Whether its time is over; then the next one begins.
    fn is_over(&mut self) -> bool {
        let over = self.began.elapsed() >= self.length;
        if over {
            self.began = Instant::now();
        }
        over
    }
}
