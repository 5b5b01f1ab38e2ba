//! Server spans.

use grpc::tls::Connector;
use http::Request;
use opentelemetry::trace::{SpanKind, Status, TraceId};
use opentelemetry::{Key, Value};
use opentelemetry_sdk::trace::SpanData;
use tonic::body::Body;
use uuid::Uuid;

use crate::eventually::eventually;
use crate::recording;
use crate::server::running_server::{ConnectedClient, RunningServer, ServerOptions};

const CALLER: &str = "00f067aa0ba902b7";

/// A call with a recorded caller, in its own trace.
struct Traced {
    trace: String,
    client: ConnectedClient,
}

impl Traced {
    async fn of(server: &RunningServer) -> Self {
        recording::start();
        Self {
            trace: Uuid::new_v4().simple().to_string(),
            client: server.connect(Connector::plain()).await.unwrap(),
        }
    }

    fn request(&self, path: &str) -> Request<Body> {
        let request = Request::post(format!("http://some.test{path}"))
            .header("content-type", "application/grpc")
            .header("traceparent", format!("00-{}-{CALLER}-01", self.trace))
            .body(Body::empty());
        request.unwrap()
    }

    /// The span of the call, after its end.
    async fn span(&self) -> SpanData {
        let trace = TraceId::from_hex(&self.trace).unwrap();
        let mut found = None;
        eventually("the span ends", async || {
            found = recording::spans_of(trace).pop();
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}

fn said<'a>(span: &'a SpanData, name: &'static str) -> Option<&'a Value> {
    let key = Key::from_static_str(name);
    let found = span.attributes.iter().find(|said| said.key == key);
    found.map(|attribute| &attribute.value)
}

#[tokio::test]
async fn a_call_is_a_span_with_its_callers_as_parent_and_the_status_of_its_response() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let call = Traced::of(&server).await;

    let path = "/grpc.health.v1.Health/Check";
    call.client.send(call.request(path)).await.unwrap();

    let span = call.span().await;
    assert_eq!(span.name, "grpc.health.v1.Health/Check");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.parent_span_id.to_string(), CALLER);
    let method = Value::from("grpc.health.v1.Health/Check");
    assert_eq!(said(&span, "rpc.method"), Some(&method));
    assert_eq!(said(&span, "rpc.system.name"), Some(&"grpc".into()));
    let peer = said(&span, "network.peer.address");
    assert_eq!(peer, Some(&"127.0.0.1".into()));
    // An empty body is no message.
    let code = said(&span, "rpc.response.status_code");
    assert_eq!(code, Some(&"INTERNAL".into()));
    assert_eq!(said(&span, "error.type"), Some(&"INTERNAL".into()));
    assert_eq!(span.status, Status::error(""));
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_method_does_not_name_the_span() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let call = Traced::of(&server).await;

    let path = format!("/some.Invention/{}", "x".repeat(500));
    call.client.send(call.request(&path)).await.unwrap();

    let span = call.span().await;
    assert_eq!(span.name, "grpc");
    assert_eq!(said(&span, "rpc.method"), Some(&"_OTHER".into()));
    let original = said(&span, "rpc.method_original").unwrap().to_string();
    assert!(original.starts_with("some.Invention/x"), "{original}");
    assert_eq!(original.len(), 128);
    let code = said(&span, "rpc.response.status_code");
    assert_eq!(code, Some(&"UNIMPLEMENTED".into()));
    server.stop().await;
}

#[tokio::test]
async fn a_call_whose_client_goes_away_is_cancelled_and_no_error() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let call = Traced::of(&server).await;
    let mut watched = call.request("/grpc.health.v1.Health/Watch");
    // An empty message: five bytes of framing.
    *watched.body_mut() = Body::new(http_body_util::Full::from(vec![0; 5]));

    let answer = call.client.send(watched).await.unwrap();
    drop(answer);

    let span = call.span().await;
    assert_eq!(span.name, "grpc.health.v1.Health/Watch");
    let code = said(&span, "rpc.response.status_code");
    assert_eq!(code, Some(&"CANCELLED".into()));
    assert_eq!(said(&span, "error.type"), None);
    assert_eq!(span.status, Status::Unset);
    server.stop().await;
}
