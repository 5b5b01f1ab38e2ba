//! A call carries its caller's trace on.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

use crate::server::{Action, Server};
use crate::setup::{Client, LENIENT, PLAIN};

#[tokio::test]
async fn a_call_carries_the_trace_context_of_the_span_it_is_made_in() {
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let subscriber =
        tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(|_| Action::Answer).await;
    let client = Client::new(PLAIN, LENIENT, &[server.address]);
    let span = tracing::info_span!("rpc");

    client.call().instrument(span.clone()).await.unwrap();

    let context = span.context();
    let trace = opentelemetry::trace::TraceContextExt::span(&context);
    let trace = trace.span_context().trace_id().to_string();
    let carried = server.calls()[0]["traceparent"].clone();
    assert!(carried.to_str().unwrap().contains(&trace), "{carried:?}");
}
