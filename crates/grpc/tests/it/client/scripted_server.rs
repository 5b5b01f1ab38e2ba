//! A gRPC server that answers by a script and records its calls.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use prost::bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};

/// A HealthCheckResponse with SERVING, as one gRPC message.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

#[derive(Clone, Copy, Debug)]
pub(crate) enum ScriptedAnswer {
    Answer,
    AnswerAfter(Duration),
    Refuse(Code),
    /// UNAVAILABLE with a pushback.
    PushBack(&'static str),
    /// Headers, then the status without a message.
    RefuseLate(Code),
    /// Headers, then nothing.
    Stall,
    Hang,
}

/// Answer by number of the call, from 0.
type AnswerScript = Arc<dyn Fn(usize) -> ScriptedAnswer + Send + Sync>;

type Calls = Arc<Mutex<Vec<Parts>>>;

#[derive(Debug)]
pub(crate) struct ScriptedServer {
    pub(crate) address: SocketAddr,
    calls: Calls,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl ScriptedServer {
    pub(crate) async fn start(
        script: impl Fn(usize) -> ScriptedAnswer + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script).await
    }

    pub(crate) async fn start_at(
        address: SocketAddr,
        script: impl Fn(usize) -> ScriptedAnswer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let stop = CancellationToken::new();
        let serving = serve(listener, Arc::new(script), Arc::clone(&calls), stop.clone());
        Self {
            address,
            calls,
            stop,
            running: tokio::spawn(serving),
        }
    }

    pub(crate) fn calls(&self) -> Vec<HeaderMap> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|call| call.headers.clone()).collect()
    }

    /// Scheme and host of each call, as the client sent them.
    pub(crate) fn origins(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .map(|call| {
                let scheme = call.uri.scheme_str().unwrap();
                format!("{scheme}://{}", call.uri.authority().unwrap())
            })
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// Closes the port and every connection.
    pub(crate) async fn kill(self) -> SocketAddr {
        self.stop.cancel();
        self.running.await.unwrap();
        self.address
    }
}

async fn serve(listener: TcpListener, script: AnswerScript, calls: Calls, stop: CancellationToken) {
    // Connections run in their own tasks: they end when their stream fails.
    let hang_up = stop.clone();
    let incoming = TcpIncoming::from(listener)
        .map(move |tcp| tcp.map(|tcp| crate::client::setup::Severable::new(tcp, hang_up.clone())));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (script, calls) = (Arc::clone(&script), Arc::clone(&calls));
        async move {
            let (head, body) = request.into_parts();
            let number = {
                let mut calls = calls.lock().unwrap();
                calls.push(head);
                calls.len() - 1
            };
            drop(body.collect().await);
            Ok::<_, Infallible>(answer(script(number)).await)
        }
    });
    let serving = tonic::transport::Server::builder().serve_with_incoming(service, incoming);
    let _ = stop.run_until_cancelled(serving).await;
}

async fn answer(action: ScriptedAnswer) -> Response<Body> {
    match action {
        ScriptedAnswer::Answer => {}
        ScriptedAnswer::AnswerAfter(time) => tokio::time::sleep(time).await,
        ScriptedAnswer::Refuse(code) => return Status::new(code, "refused").into_http(),
        ScriptedAnswer::PushBack(value) => {
            let mut status = Status::unavailable("refused");
            let value = value.parse().unwrap();
            status
                .metadata_mut()
                .insert("grpc-retry-pushback-ms", value);
            return status.into_http();
        }
        ScriptedAnswer::RefuseLate(code) => return with_body(Bytes::new(), Some(code)),
        ScriptedAnswer::Stall => return with_body(Bytes::from_static(SERVING), None),
        ScriptedAnswer::Hang => {
            let never = Semaphore::new(0);
            drop(never.acquire().await);
        }
    }
    with_body(Bytes::from_static(SERVING), Some(Code::Ok))
}

/// Headers, a message, and the status as a trailer; without a status the response never ends.
fn with_body(message: Bytes, status: Option<Code>) -> Response<Body> {
    let body = match status {
        Some(code) => {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", i32::from(code).into());
            let trailers = std::future::ready(Some(Ok(trailers)));
            Body::new(Full::new(message).with_trailers(trailers))
        }
        None => {
            let frames = tokio_stream::iter([Ok::<_, Infallible>(http_body::Frame::data(message))]);
            Body::new(StreamBody::new(frames.chain(tokio_stream::pending())))
        }
    };
    let mut response = Response::new(body);
    let content_type = http::HeaderValue::from_static("application/grpc");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, content_type);
    response
}
