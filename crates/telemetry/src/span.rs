//! Spans, made from the [`SpanType`] that says what they are.
//!
//! They are spans of OpenTelemetry's own interface and not of `tracing`: kinds, links and remote parents are said
//! directly, and a trace that is not recorded costs next to nothing (docs/adr/014-spans-by-the-opentelemetry-api.md). Logs find
//! their trace by the current [`Context`]. A future belongs to a span by [`Span::carry`]; a task that is spawned does not
//! inherit it.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use opentelemetry::context::{FutureExt, WithContext};
use opentelemetry::trace::{Link, SpanBuilder, SpanContext, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;

use super::names::attributes::ERROR_TYPE;
use super::vocabulary::{Attribute, Labels, SpanType};

/// What spans are made by, once telemetry has started.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Spans are made by this from now on. The first one stays.
pub(super) fn use_tracer(tracer: SdkTracer) {
    let _ = TRACER.set(tracer);
}

impl SpanType {
    /// A part of what is being done. If that is not recorded, neither is its part, and what happens within carries the
    /// trace of the whole on.
    pub fn within(&'static self, name: impl Into<Cow<'static, str>>) -> Span {
        self.part_of(name, &Context::current(), None)
    }

    /// As [`SpanType::within`], of a whole that came from elsewhere.
    pub fn part_of(
        &'static self,
        name: impl Into<Cow<'static, str>>,
        whole: &Context,
        links: impl IntoIterator<Item = Link>,
    ) -> Span {
        if !whole.span().span_context().is_sampled() {
            return Span::silent(whole.clone());
        }
        self.start(name, whole, links.into_iter().collect())
    }

    /// The continuation of a trace that came from elsewhere, or the beginning of one if nothing came.
    pub fn continuing(
        &'static self,
        name: impl Into<Cow<'static, str>>,
        parent: &Context,
        links: Vec<Link>,
    ) -> Span {
        self.start(name, parent, links)
    }

    /// Something that is done for many traces at once, as a trace of its own with links to those of them that are
    /// recorded. If none is, this is not either.
    pub fn for_all(
        &'static self,
        name: impl Into<Cow<'static, str>>,
        members: impl IntoIterator<Item = Link>,
    ) -> Span {
        self.for_all_since(name, members, Duration::ZERO)
    }

    /// As [`SpanType::for_all`], of something that began so long ago: for whom it is done turned out only meanwhile.
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

    fn start(
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

/// Adds attributes to the span of what is being done, which whoever calls this has not made: a method knows more of its
/// call than the layer that began its span. They are made only if anybody will see them.
pub fn describe_current<const N: usize>(attributes: impl FnOnce() -> [KeyValue; N]) {
    Context::map_current(|current| {
        let span = current.span();
        if span.is_recording() {
            span.set_attributes(attributes());
        }
    });
}

/// As many as a span keeps by default (`OTEL_SPAN_LINK_COUNT_LIMIT`).
const MAX_LINKS: usize = 128;

/// A span that is open. It ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    context: Context,
    /// Whether there is a span to be ended, and not only a trace to be carried on.
    is_own: bool,
}

impl Span {
    fn silent(context: Context) -> Self {
        let is_own = false;
        Self { context, is_own }
    }

    /// What is handed to whatever is done within it.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What others link to.
    pub fn link(&self) -> Link {
        Link::new(self.span_context(), Vec::new(), 0)
    }

    /// Its place in its trace.
    pub fn span_context(&self) -> SpanContext {
        self.context.span().span_context().clone()
    }

    /// Whether anybody will see what is said about it. Asked before a value is made that costs something.
    pub fn is_recording(&self) -> bool {
        self.is_own && self.context.span().is_recording()
    }

    /// Adds what is known of it.
    pub fn set(&self, attribute: &Attribute, value: impl Into<Value>) {
        if self.is_recording() {
            self.context.span().set_attribute(attribute.of(value));
        }
    }

    /// Adds several attributes, which are made only if anybody will see them.
    pub fn describe<const N: usize>(&self, attributes: impl FnOnce() -> [KeyValue; N]) {
        if self.is_recording() {
            self.context.span().set_attributes(attributes());
        }
    }

    /// It failed, in the way that its `error.type` says already.
    pub fn mark_failed(&self) {
        if self.is_recording() {
            self.context.span().set_status(Status::error(""));
        }
    }

    /// Adds what a measurement of it has.
    pub fn describe_as(&self, labels: &Labels) {
        if self.is_recording() {
            let attributes = labels.as_slice().iter().cloned();
            self.context.span().set_attributes(attributes);
        }
    }

    /// Links it to what turned out later to belong to it.
    pub fn add_link(&self, to: &SpanContext) {
        if self.is_recording() && to.is_valid() {
            self.context.span().add_link(to.clone(), Vec::new());
        }
    }

    /// It failed, in a way of this low-cardinality name. The status has no text: that is what logs are for.
    pub fn fail(&self, error_type: impl Into<Cow<'static, str>>) {
        if self.is_recording() {
            self.set(&ERROR_TYPE, error_type.into());
            self.mark_failed();
        }
    }

    /// Does this within the span, wherever it is polled.
    pub fn carry<F: Future>(&self, future: F) -> WithContext<F> {
        future.with_context(self.context.clone())
    }

    /// Does this within the span, at once.
    pub fn within<T>(&self, run: impl FnOnce() -> T) -> T {
        let _current = self.context.clone().attach();
        run()
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.is_own {
            // Others may still hold its context.
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
    fn a_part_of_what_is_not_recorded_is_no_span_and_carries_the_whole_on() {
        let whole = remote(0xd1, false);
        let _current = within(&whole).attach();

        let part = spans::GROUP_COMMIT.within("part");

        assert!(!part.is_recording());
        assert_eq!(part.span_context(), whole);
        drop(part);
        assert!(spans_of(whole.trace_id()).is_empty());
    }

    #[test]
    fn a_part_of_what_is_recorded_is_its_child() {
        let whole = remote(0xd2, true);
        let _current = within(&whole).attach();

        drop(spans::GROUP_COMMIT.within("part"));

        let [part] = &spans_of(whole.trace_id())[..] else {
            panic!("one span")
        };
        assert_eq!(part.parent_span_id, whole.span_id());
    }

    #[test]
    fn what_is_done_for_many_links_to_those_that_are_recorded() {
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
    fn what_is_done_for_many_that_nobody_records_is_no_span() {
        record_spans();
        let link = Link::new(remote(0xd5, false), Vec::new(), 0);

        assert!(!spans::POLL.for_all("poll", [link]).is_recording());
    }

    #[test]
    fn a_failure_has_its_type_and_no_text() {
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
