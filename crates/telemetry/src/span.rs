//! Spans, created from a [`SpanType`].
//!
//! They use the OpenTelemetry API and not `tracing`: it has kinds, links and remote parents, and an unsampled trace costs
//! almost nothing (docs/adr/014-spans-by-the-opentelemetry-api.md). Log lines take their ids from the current [`Context`].
//! [`Span::carry`] attaches a future to a span; a spawned task does not inherit the span.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use opentelemetry::context::{FutureExt, WithContext};
use opentelemetry::trace::{Link, SpanBuilder, SpanContext, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;

use super::names::attributes::ERROR_TYPE;
use super::vocabulary::{Attribute, Labels, SpanType};

/// Set by [`super::Telemetry::start`]; global like the meter provider, and without its dynamic dispatch.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// No-op after the first call.
pub(super) fn use_tracer(tracer: SdkTracer) {
    let _ = TRACER.set(tracer);
}

impl SpanType {
    /// A child of the current span. If that is not sampled, the result records nothing and propagates its context.
    pub fn within(&'static self, name: impl Into<Cow<'static, str>>) -> Span {
        self.part_of(name, &Context::current(), None)
    }

    /// As [`SpanType::within`], with an explicit parent.
    pub fn part_of(
        &'static self,
        name: impl Into<Cow<'static, str>>,
        whole: &Context,
        links: impl IntoIterator<Item = Link>,
    ) -> Span {
        if !whole.span().span_context().is_sampled() {
            return Span::silent(whole.clone());
        }
        self.continuing(name, whole, links.into_iter().collect())
    }

    /// Continues a remote trace, or starts one if there is none.
    pub fn continuing(
        &'static self,
        name: impl Into<Cow<'static, str>>,
        parent: &Context,
        links: Vec<Link>,
    ) -> Span {
        let mut builder = SpanBuilder::from_name(name);
        if !links.is_empty() {
            builder = builder.with_links(links);
        }
        self.build(builder, parent)
    }

    /// A root span for work on behalf of several traces, with links to the sampled ones. If there is none, it records
    /// nothing.
    pub fn for_all(
        &'static self,
        name: impl Into<Cow<'static, str>>,
        members: impl IntoIterator<Item = Link>,
    ) -> Span {
        self.for_all_since(name, members, Duration::ZERO)
    }

    /// As [`SpanType::for_all`], started `ago` in the past: for work whose members are known only afterwards.
    pub fn for_all_since(
        &'static self,
        name: impl Into<Cow<'static, str>>,
        members: impl IntoIterator<Item = Link>,
        ago: Duration,
    ) -> Span {
        let recorded = members
            .into_iter()
            .filter(|link| link.span_context.is_sampled());
        let links: Vec<_> = recorded.take(MAX_LINKS).collect();
        if links.is_empty() {
            return Span::silent(Context::new());
        }
        let mut builder = SpanBuilder::from_name(name);
        builder.start_time = SystemTime::now().checked_sub(ago);
        self.build(builder.with_links(links), &Context::new())
    }

    fn build(&self, builder: SpanBuilder, parent: &Context) -> Span {
        let Some(tracer) = TRACER.get() else {
            return Span::silent(parent.clone());
        };
        let builder = builder.with_kind(self.kind.clone());
        let span = tracer.build_with_context(builder, parent);
        Span {
            context: parent.with_span(span),
            is_own: true,
        }
    }
}

/// Adds attributes to the current span, which another layer has started: a method knows more about its call than the
/// layer. They are created only if the span is recording.
pub fn describe_current<const N: usize>(attributes: impl FnOnce() -> [KeyValue; N]) {
    Context::map_current(|current| {
        let span = current.span();
        if span.is_recording() {
            span.set_attributes(attributes());
        }
    });
}

/// Runs a future within the current span, in whatever task: a spawned one does not inherit it.
pub fn carry_current<F: Future>(future: F) -> WithContext<F> {
    future.with_context(Context::current())
}

/// Default of `OTEL_SPAN_LINK_COUNT_LIMIT`; further links would be dropped.
const MAX_LINKS: usize = 128;

/// An open span; dropping it ends it.
#[derive(Debug)]
pub struct Span {
    context: Context,
    /// False if it only propagates the context of a parent.
    is_own: bool,
}

impl Span {
    fn silent(context: Context) -> Self {
        let is_own = false;
        Self { context, is_own }
    }

    /// The context for work within the span.
    pub fn context(&self) -> &Context {
        &self.context
    }

    pub fn link(&self) -> Link {
        Link::new(self.span_context(), Vec::new(), 0)
    }

    pub fn span_context(&self) -> SpanContext {
        self.context.span().span_context().clone()
    }

    /// Whether attributes are kept. Check it before computing an expensive value.
    pub fn is_recording(&self) -> bool {
        self.is_own && self.context.span().is_recording()
    }

    pub fn set(&self, attribute: &Attribute, value: impl Into<Value>) {
        if self.is_recording() {
            self.context.span().set_attribute(attribute.of(value));
        }
    }

    /// Adds attributes, which are created only if the span is recording.
    pub fn describe<const N: usize>(&self, attributes: impl FnOnce() -> [KeyValue; N]) {
        if self.is_recording() {
            self.context.span().set_attributes(attributes());
        }
    }

    /// Sets the error status; `error.type` is already set.
    pub fn mark_failed(&self) {
        if self.is_recording() {
            self.context.span().set_status(Status::error(""));
        }
    }

    /// Adds the labels of a metric as attributes.
    pub fn describe_as(&self, labels: &Labels) {
        if self.is_recording() {
            let attributes = labels.as_slice().iter().cloned();
            self.context.span().set_attributes(attributes);
        }
    }

    /// Adds a link that was unknown at the start of the span.
    pub fn add_link(&self, to: &SpanContext) {
        if self.is_recording() && to.is_valid() {
            self.context.span().add_link(to.clone(), Vec::new());
        }
    }

    /// Sets the error status and `error.type`, which has low cardinality. The status has no text; logs have.
    pub fn fail(&self, error_type: impl Into<Cow<'static, str>>) {
        if self.is_recording() {
            self.set(&ERROR_TYPE, error_type.into());
            self.mark_failed();
        }
    }

    /// Runs a future within the span, on any thread.
    pub fn carry<F: Future>(&self, future: F) -> WithContext<F> {
        future.with_context(self.context.clone())
    }

    /// Runs a closure within the span.
    pub fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        let _current = self.context.clone().attach();
        run()
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.is_own {
            // Explicitly, because clones of the context can outlive it.
            self.context.span().end();
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;
    use crate::names::spans;
    use crate::testing::{record_spans, spans_of};

    fn remote(trace: u128, is_sampled: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(is_sampled);
        let (trace, span) = (TraceId::from(trace), SpanId::from(7));
        SpanContext::new(trace, span, flags, true, TraceState::default())
    }

    fn within(trace: &SpanContext) -> Context {
        record_spans();
        Context::new().with_remote_span_context(trace.clone())
    }

    #[test]
    fn a_child_of_an_unsampled_span_records_nothing_and_propagates_its_context() {
        let whole = remote(0xd1, false);
        let _current = within(&whole).attach();

        let part = spans::GROUP_COMMIT.within("part");

        assert!(!part.is_recording());
        assert_eq!(part.span_context(), whole);
        drop(part);
        assert!(spans_of(whole.trace_id()).is_empty());
    }

    #[test]
    fn a_span_within_a_sampled_span_is_its_child() {
        let whole = remote(0xd2, true);
        let _current = within(&whole).attach();

        drop(spans::GROUP_COMMIT.within("part"));

        let [part] = &spans_of(whole.trace_id())[..] else {
            panic!("one span")
        };
        assert_eq!(part.parent_span_id, whole.span_id());
    }

    #[test]
    fn a_span_for_several_traces_links_to_the_sampled_ones() {
        record_spans();
        let members = [remote(0xd3, false), remote(0xd4, true)];
        let links = members
            .iter()
            .map(|member| Link::new(member.clone(), Vec::new(), 0));

        let span = spans::POLL.for_all("poll", links);

        let trace = span.span_context().trace_id();
        drop(span);
        let [span] = &spans_of(trace)[..] else {
            panic!("one span")
        };
        let linked: Vec<_> = span.links.iter().map(|link| &link.span_context).collect();
        assert_eq!(linked, [&members[1]]);
        assert_eq!(span.parent_span_id, SpanId::INVALID);
    }

    #[test]
    fn a_span_for_unsampled_traces_alone_records_nothing() {
        record_spans();
        let link = Link::new(remote(0xd5, false), Vec::new(), 0);

        assert!(!spans::POLL.for_all("poll", [link]).is_recording());
    }

    #[test]
    fn a_failed_span_has_its_error_type_and_no_text() {
        let whole = remote(0xd6, true);
        let _current = within(&whole).attach();

        spans::GROUP_COMMIT.within("part").fail("queue_full");

        let [part] = &spans_of(whole.trace_id())[..] else {
            panic!("one span")
        };
        assert_eq!(part.status, Status::error(""));
        assert_eq!(part.attributes, [ERROR_TYPE.of("queue_full")]);
    }
}
