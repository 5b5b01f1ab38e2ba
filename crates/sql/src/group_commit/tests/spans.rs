//! A commit in the traces of its callers.

use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::trace::SpanData;

use super::*;
use telemetry::names::{attributes, spans};
use telemetry::testing::{all_spans, record_spans, spans_of};

/// The span that submits a command.
fn call() -> Span {
    record_spans();
    spans::RPC_SERVER.continuing("call", &Context::new(), Vec::new())
}

/// A caller whose trace is not sampled.
fn unrecorded_call() -> Context {
    let (trace, span) = (TraceId::from(7), SpanId::from(7));
    let flags = TraceFlags::NOT_SAMPLED;
    let caller = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(caller)
}

/// Submits these numbers in one batch, each within its call.
async fn submit_for(
    writer: &Writer,
    commands: &[(u32, &Context)],
) -> Vec<Result<u32, SubmitError<&'static str>>> {
    use opentelemetry::context::FutureExt;
    let submissions = commands.iter().map(|(number, call)| {
        let submission = writer.handle.submit(*number);
        submission.with_context((*call).clone())
    });
    let all = futures::future::join_all(submissions);
    tokio::pin!(all);
    assert!(futures::poll!(&mut all).is_pending());
    writer.gate.add_permits(100);
    all.await
}

/// The span of this name in the trace of this call.
fn span(name: &str, call: &SpanContext) -> SpanData {
    let mut spans = spans_of(call.trace_id()).into_iter();
    spans.find(|span| span.name == name).unwrap()
}

/// The batch of the command of this call, found by the link of the command.
fn batch_of(call: &SpanContext) -> SpanData {
    let command = span("commit double", call);
    let [to_batch] = &command.links.links[..] else {
        panic!("{:?}", command.links)
    };
    let batch = &to_batch.span_context;
    let mut spans = spans_of(batch.trace_id()).into_iter();
    spans.find(|span| span.span_context == *batch).unwrap()
}

fn links(span: &SpanData) -> Vec<SpanContext> {
    let links = span.links.links.iter();
    links.map(|link| link.span_context.clone()).collect()
}

fn error_type(span: &SpanData) -> Option<Value> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|found| found.key.as_str() == attributes::ERROR_TYPE.name)?;
    assert_eq!(span.status, Status::error(""));
    Some(found.value.clone())
}

#[tokio::test]
async fn a_batch_with_one_recorded_command_is_its_child_and_links_to_it() {
    let (call, unrecorded) = (call(), unrecorded_call());
    let writer = writer(10);

    submit_for(&writer, &[(1, call.context()), (2, &unrecorded)]).await;

    let command = span("commit double", &call.span_context());
    let batch = batch_of(&call.span_context());
    assert_eq!(command.parent_span_id, call.span_context().span_id());
    assert_eq!(batch.name, "commit double batch");
    assert_eq!(batch.parent_span_id, command.span_context.span_id());
    assert_eq!(links(&batch), [command.span_context]);
    let commands = attributes::COMMANDS.of(2);
    assert!(batch.attributes.contains(&commands), "{batch:?}");
}

#[tokio::test]
async fn a_batch_of_many_links_to_every_recorded_command_and_they_link_back() {
    let (calls, unrecorded) = ([call(), call()], unrecorded_call());
    let writer = writer(10);
    let [first, second] = calls.each_ref().map(Span::context);

    submit_for(&writer, &[(1, first), (2, &unrecorded), (3, second)]).await;

    let calls = calls.map(|call| call.span_context());
    let [batch, same] = calls.each_ref().map(batch_of);
    assert_eq!(batch.span_context, same.span_context);
    assert_eq!(batch.parent_span_id, SpanId::INVALID);
    let commands = calls.map(|call| span("commit double", &call).span_context);
    assert_eq!(links(&batch), commands);
}

#[tokio::test]
async fn a_batch_without_a_sampled_command_has_no_span() {
    record_spans();
    let unrecorded = unrecorded_call();
    let writer = writer(10);

    submit_for(&writer, &[(1, &unrecorded), (2, &Context::new())]).await;

    let trace = unrecorded.span().span_context().trace_id();
    assert!(spans_of(trace).is_empty());
    // Neither command starts a trace of its own.
    let within = writer.within.lock().unwrap().clone();
    assert!(!within[0].is_sampled(), "{within:?}");
    let spans = all_spans();
    let mut commands = spans.iter().filter(|span| span.name == "commit double");
    assert!(commands.all(|command| command.parent_span_id != SpanId::INVALID));
}

#[tokio::test]
async fn the_commit_runs_within_the_span_of_its_batch() {
    let call = call();
    let writer = writer(10);

    submit_for(&writer, &[(1, call.context())]).await;

    let batch = batch_of(&call.span_context());
    let within = writer.within.lock().unwrap().clone();
    assert_eq!(within, [batch.span_context]);
}

#[tokio::test]
async fn only_the_span_of_the_failing_command_has_an_error_type() {
    let calls = [call(), call()];
    let writer = writer(10);
    let [good, bad] = calls.each_ref().map(Span::context);

    submit_for(&writer, &[(1, good), (13, bad)]).await;

    let [good, bad] = calls.map(|call| call.span_context());
    assert_eq!(error_type(&span("commit double", &good)), None);
    let failed = Some(Value::from("failed"));
    assert_eq!(error_type(&span("commit double", &bad)), failed);
    assert_eq!(error_type(&batch_of(&bad)), failed);
}

#[tokio::test]
async fn a_command_rejected_by_a_full_queue_has_its_error_type() {
    let calls = [call(), call()];
    let writer = writer(1);
    let [taken, refused] = calls.each_ref().map(Span::context);

    submit_for(&writer, &[(1, taken), (2, refused)]).await;

    let refused = span("commit double", &calls[1].span_context());
    assert_eq!(error_type(&refused), Some(Value::from("queue_full")));
}
