//! Spans and metrics of a group commit: the wait of each command, and its batch.
//!
//! ```text
//! PlaceOrder ─▶ commit place ──link──▶ commit place batch ─▶ database spans
//! PlaceOrder ─▶ commit place ◀──link──
//! ```
//!
//! A batch belongs to the traces of all its commands, so it has its own trace with links in both directions. If a single
//! command is sampled, the usual case, the batch is a child of that command.

use std::borrow::Cow;
use std::time::Instant;

use tokio::sync::mpsc::WeakSender;

use super::SubmitError;
use telemetry::instruments::Histogram;
use telemetry::names::{attributes, metrics, spans};
use telemetry::span::Span;
use telemetry::vocabulary::Labels;

/// `error.type` of a command that its caller cancelled before the commit started.
pub(super) const CANCELLED: &str = "cancelled";

impl<E> SubmitError<E> {
    /// `error.type`; [`CANCELLED`] is the only other value.
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Stopped => "stopped",
            Self::BatchFailed => "batch_failed",
            Self::Failed(_) => "failed",
        }
    }
}

/// A span name that is formatted once and cloned only for a recorded span.
#[derive(Debug)]
struct SpanName(String);

impl From<&SpanName> for Cow<'static, str> {
    fn from(name: &SpanName) -> Self {
        Cow::Owned(name.0.clone())
    }
}

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

    /// Registers the gauge of queued commands. It reports no value once all handles are dropped.
    pub(super) fn observe_queue<T: Send + 'static>(&self, queue: WeakSender<T>) {
        let labels = self.labels.clone();
        metrics::GROUP_COMMIT_QUEUE.observe(move || {
            let queue = queue.upgrade()?;
            let waiting = queue.max_capacity() - queue.capacity();
            Some((waiting as u64, labels.clone()))
        });
    }

    /// Starts the span of a queued command.
    pub(super) fn submitted(&self) -> Span {
        let span = spans::GROUP_COMMIT.within(&self.command);
        span.describe_as(&self.labels);
        span
    }

    /// Starts the span of a batch; `members` are the spans of its commands.
    pub(super) fn begin<'a>(&self, members: impl ExactSizeIterator<Item = &'a Span>) -> Batch<'_> {
        let commands = members.len();
        self.sizes.record(commands as f64, &self.labels);
        let recorded: Vec<_> = members.filter(|member| member.is_recording()).collect();
        let batch = &spans::GROUP_COMMIT_BATCH;
        let span = match recorded.as_slice() {
            [only] => batch.continuing(&self.batch, only.context(), vec![only.link()]),
            several => batch.for_all(&self.batch, several.iter().map(|member| member.link())),
        };
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
}

/// A running commit.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    telemetry: &'a CommitTelemetry,
    span: Span,
    began: Instant,
}

impl Batch<'_> {
    pub(super) async fn carry<T>(&self, commit: impl Future<Output = T>) -> T {
        self.span.carry(commit).await
    }

    /// Ends the batch. Its `error.type` is that of the first failed command.
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
