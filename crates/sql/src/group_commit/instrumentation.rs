//! What can be seen of a group commit: how long each command waits, and with whom it is committed.
//!
//! ```text
//! PlaceOrder ─▶ commit place ──link──▶ commit place batch ─▶ what the database does
//! PlaceOrder ─▶ commit place ◀──link──
//! ```
//!
//! A batch belongs to the traces of all its commands, so it is one of its own, with links there and back. If only one of
//! the commands is recorded, which is what sampling mostly leaves, the batch is a part of that one's trace.

use std::borrow::Cow;
use std::time::Instant;

use tokio::sync::mpsc::WeakSender;

use super::SubmitError;
use telemetry::instruments::Histogram;
use telemetry::names::{attributes, metrics, spans};
use telemetry::span::Span;
use telemetry::vocabulary::Labels;

/// `error.type` of a command that its caller took back before its commit had begun.
pub(super) const TAKEN_BACK: &str = "taken_back";

impl<E> SubmitError<E> {
    /// Its name in telemetry: all that there are, with [`TAKEN_BACK`].
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Stopped => "stopped",
            Self::BatchFailed => "batch_failed",
            Self::Failed(_) => "failed",
        }
    }
}

/// A span's name that is put together once, and copied only for a span that is recorded.
#[derive(Debug)]
struct SpanName(String);

impl From<&SpanName> for Cow<'static, str> {
    fn from(name: &SpanName) -> Self {
        Cow::Owned(name.0.clone())
    }
}

/// Watches the commands and the commits of one writer.
#[derive(Debug)]
pub(super) struct CommitTelemetry {
    command: SpanName,
    batch: SpanName,
    labels: Labels,
    sizes: Histogram,
    durations: Histogram,
}

impl CommitTelemetry {
    pub(super) fn new(writer: &'static str) -> Self {
        Self {
            command: SpanName(format!("commit {writer}")),
            batch: SpanName(format!("commit {writer} batch")),
            labels: Labels::of([attributes::WRITER.label(writer)]),
            sizes: metrics::GROUP_COMMIT_BATCH_SIZE.histogram(),
            durations: metrics::GROUP_COMMIT_DURATION.histogram(),
        }
    }

    /// Shows how many commands wait, as long as there is somebody who could submit one.
    pub(super) fn observe_queue<T: Send + 'static>(&self, queue: WeakSender<T>) {
        let labels = self.labels.clone();
        metrics::GROUP_COMMIT_QUEUE.observe(move || {
            let queue = queue.upgrade()?;
            let waiting = queue.max_capacity() - queue.capacity();
            Some((waiting as u64, labels.clone()))
        });
    }

    /// A command of what is being done at present takes its place in the queue.
    pub(super) fn submitted(&self) -> Span {
        let span = spans::GROUP_COMMIT.within(&self.command);
        span.describe_as(&self.labels);
        span
    }

    /// Commands of these spans are committed together from now on.
    pub(super) fn begin<'a>(&self, members: impl ExactSizeIterator<Item = &'a Span>) -> Batch<'_> {
        let commands = members.len();
        self.sizes.record(commands as f64, &self.labels);
        let recorded: Vec<_> = members.filter(|member| member.is_recording()).collect();
        let span = self.span_of(&recorded);
        span.describe_as(&self.labels);
        span.describe(|| [attributes::COMMANDS.of(commands as i64)]);
        for member in recorded {
            member.add_link(&span.span_context());
        }
        Batch {
            telemetry: self,
            span,
            began: Instant::now(),
        }
    }

    fn span_of(&self, recorded: &[&Span]) -> Span {
        let batch = &spans::GROUP_COMMIT_BATCH;
        match recorded {
            [only] => batch.continuing(&self.batch, only.context(), vec![only.link()]),
            several => batch.for_all(&self.batch, several.iter().map(|member| member.link())),
        }
    }
}

/// A commit that is under way.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    telemetry: &'a CommitTelemetry,
    span: Span,
    began: Instant,
}

impl Batch<'_> {
    /// Commits as a part of it.
    pub(super) async fn carry<T>(&self, commit: impl Future<Output = T>) -> T {
        self.span.carry(commit).await
    }

    /// All its commands have their answers. It has failed in the way that the first of them has that failed.
    pub(super) fn ended<R, E>(self, answers: &[Result<R, SubmitError<E>>]) {
        let took = self.began.elapsed();
        let failures = answers.iter().filter_map(|answer| answer.as_ref().err());
        let CommitTelemetry {
            labels, durations, ..
        } = self.telemetry;
        match failures.map(SubmitError::error_type).next() {
            None => durations.record_time(took, labels),
            Some(error_type) => {
                self.span.fail(error_type);
                let error_type = attributes::ERROR_TYPE.label(error_type);
                durations.record_time(took, &labels.and(error_type));
            }
        }
    }
}
