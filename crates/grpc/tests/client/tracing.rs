//! A call is a span of its caller's trace, and carries that on.

use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, Status};
use telemetry::names::spans;
use tonic::Code;

use crate::recording;
use crate::server::{Action, Server};
use crate::setup::{Client, LENIENT, PLAIN, RETRYING};

#[tokio::test]
async fn a_call_is_a_client_span_in_its_callers_trace_and_the_server_gets_it_as_parent() {
    recording::start();
    let server = Server::start(|_| Action::Answer).await;
    let client = Client::new(PLAIN, LENIENT, &[server.address]);
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
async fn a_repeated_call_is_one_span_that_says_how_it_ended() {
    recording::start();
    let server = Server::start(|_| Action::Refuse(Code::Unavailable)).await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);
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
