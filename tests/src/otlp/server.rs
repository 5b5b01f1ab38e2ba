//! The HTTP server of the receiver.

use std::convert::Infallible;
use std::future;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::sample;
use super::signal::Signal;
use super::span;
use super::state::{Manner, ReceiverState, lock};

/// A batch of 512 spans is a few hundred kilobytes.
const MAX_BYTES_OF_A_REQUEST: usize = 16 << 20;

/// Serves until it is aborted; its connections are aborted with it.
pub(super) async fn run(listener: TcpListener, state: Arc<Mutex<ReceiverState>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error affects one connection, or is a temporary lack of file descriptors.
                if let Ok((connection, _)) = accepted {
                    connections.spawn(serve(connection, Arc::clone(&state)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(connection: TcpStream, state: Arc<Mutex<ReceiverState>>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(receive(request, &state).await)) }
    });
    // A sender that disconnects during a request gets no answer; nothing else depends on it.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

/// In all three signals, an empty body means that nothing was rejected.
fn answer(outcome: Result<(), StatusCode>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    match outcome {
        Ok(()) => {
            let protobuf = header::HeaderValue::from_static("application/x-protobuf");
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, protobuf);
        }
        Err(status) => *response.status_mut() = status,
    }
    response
}

async fn receive(
    request: Request<Incoming>,
    state: &Mutex<ReceiverState>,
) -> Result<(), StatusCode> {
    let signal = signal_of(&request)?;
    let body = Limited::new(request.into_body(), MAX_BYTES_OF_A_REQUEST).collect();
    let body = body.await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let body = body.to_bytes();
    let manner = lock(state).manner;
    match manner {
        Manner::Prompt => {}
        Manner::Slow(pause) => tokio::time::sleep(pause).await,
        Manner::Silent => future::pending().await,
    }
    keep(signal, body, state)
}

fn signal_of(request: &Request<Incoming>) -> Result<Signal, StatusCode> {
    let signal = match request.uri().path() {
        "/v1/traces" => Signal::Traces,
        "/v1/metrics" => Signal::Metrics,
        "/v1/logs" => Signal::Logs,
        _ => return Err(StatusCode::NOT_FOUND),
    };
    if request.method() != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    Ok(signal)
}

fn keep(signal: Signal, body: Bytes, state: &Mutex<ReceiverState>) -> Result<(), StatusCode> {
    let spans = match signal {
        Signal::Traces => span::decode(body.clone()).map_err(|_| StatusCode::BAD_REQUEST)?,
        // Decoded lazily, on access; of metrics all but the last values.
        Signal::Metrics | Signal::Logs => Vec::new(),
    };
    let samples = match signal {
        Signal::Metrics => sample::decode(body.clone()).map_err(|_| StatusCode::BAD_REQUEST)?,
        Signal::Traces | Signal::Logs => Vec::new(),
    };
    let mut state = lock(state);
    state.kept.add_spans(spans);
    state.samples.add(samples);
    state.kept.add_body(signal, body);
    Ok(())
}
