//! What is seen of a call from outside the server: its span.

use std::sync::LazyLock;

use grpc::tls::Connector;
use http::Request;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Key, Value};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use telemetry::{SamplingRatio, tracer_provider, use_providers};
use tonic::body::Body;
use uuid::Uuid;

use crate::server::{Client, RunningServer, Terms, eventually};

/// The spans of all tests of this program.
static SPANS: LazyLock<InMemorySpanExporter> = LazyLock::new(|| {
    let exporter = InMemorySpanExporter::default();
    let provider = tracer_provider(SamplingRatio::ALL).with_simple_exporter(exporter.clone());
    use_providers(&provider.build(), None);
    exporter
});

/// The caller's span.
const CALLER: &str = "00f067aa0ba902b7";

/// A call that its caller records, in a trace of its own.
struct Traced {
    trace: String,
    client: Client,
}

impl Traced {
    async fn of(server: &RunningServer) -> Self {
        LazyLock::force(&SPANS);
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

    /// The one span of the call, once it has ended.
    async fn span(&self) -> SpanData {
        let mut found = None;
        eventually("the span ends", async || {
            let spans = SPANS.get_finished_spans().unwrap();
            let of_trace = |span: &SpanData| span.span_context.trace_id().to_string() == self.trace;
            found = spans.into_iter().find(of_trace);
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
async fn a_call_is_a_span_with_its_callers_as_parent_and_the_status_it_was_answered_with() {
    let server = RunningServer::start(Terms::default()).await;
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
async fn an_invented_method_names_no_span() {
    let server = RunningServer::start(Terms::default()).await;
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
async fn a_client_that_goes_away_has_cancelled_and_nobody_is_to_blame() {
    let server = RunningServer::start(Terms::default()).await;
    let call = Traced::of(&server).await;
    let mut watched = call.request("/grpc.health.v1.Health/Watch");
    // A message of no bytes: five bytes of frame.
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
