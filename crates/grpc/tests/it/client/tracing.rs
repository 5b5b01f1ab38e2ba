//! A call is a span of its caller's trace, and propagates the context.

use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, Status};
use telemetry::names::spans;
use tonic::Code;

use crate::client::scripted_server::{ScriptedAnswer, ScriptedServer};
use crate::client::setup::{LENIENT, PLAIN, RETRYING, TestClient};
use crate::recording;

#[tokio::test]
async fn a_call_is_a_client_span_in_its_callers_trace_and_parent_of_the_server_span() {
    recording::start();
    let server = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let client = TestClient::new(PLAIN, LENIENT, &[server.address]);
    let caller = spans::RPC_SERVER.continuing("caller", &Context::new(), Vec::new());

    caller.carry(client.call()).await.unwrap();

    let context = caller.span_context();
    let spans = recording::spans_of(context.trace_id());
    let [span] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(span.name, "grpc.health.v1.Health/Check");
    assert_eq!(span.parent_span_id, context.span_id());
    assert_eq!(span.status, Status::Unset);
    let (trace, id) = (context.trace_id(), span.span_context.span_id());
    let carried = server.calls()[0]["traceparent"].clone();
    assert_eq!(carried, format!("00-{trace}-{id}-01"));
}

#[tokio::test]
async fn a_retried_call_is_one_span_with_the_final_status() {
    recording::start();
    let server = ScriptedServer::start(|_| ScriptedAnswer::Refuse(Code::Unavailable)).await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);
    let caller = spans::RPC_SERVER.continuing("caller", &Context::new(), Vec::new());

    caller.carry(client.call()).await.unwrap_err();

    assert!(server.calls().len() > 1);
    let spans = recording::spans_of(caller.span_context().trace_id());
    let [span] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(span.status, Status::error(""));
    let said = span.attributes.iter();
    let said = said.filter(|attribute| attribute.value.as_str() == "UNAVAILABLE");
    let said: Vec<_> = said.map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(said, ["rpc.response.status_code", "error.type"]);
}
