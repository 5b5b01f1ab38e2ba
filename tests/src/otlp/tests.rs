//! The receiver against valid, invalid and excessive requests.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as SentSpan};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// A request with spans of these ids, all in one trace.
fn export(span_ids: std::ops::Range<u64>) -> Vec<u8> {
    let spans = span_ids.map(|id| SentSpan {
        trace_id: vec![7; 16],
        span_id: id.to_be_bytes().to_vec(),
        name: "something".to_owned(),
        ..SentSpan::default()
    });
    let scope_spans = vec![ScopeSpans {
        spans: spans.collect(),
        ..ScopeSpans::default()
    }];
    let resource_spans = vec![ResourceSpans {
        scope_spans,
        ..ResourceSpans::default()
    }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn with_length(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn in_chunks(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut request = head.into_bytes();
    for chunk in body.chunks(10) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

/// Sends a request and returns the status of the answer.
async fn send(connection: &mut TcpStream, request: &[u8]) -> String {
    connection.write_all(request).await.unwrap();
    let mut answer = vec![0; 1_024];
    let length = connection.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn one_connection_carries_many_requests_with_a_length_or_in_chunks() {
    let receiver = Receiver::start().await.unwrap();
    let mut connection = TcpStream::connect(receiver.address).await.unwrap();

    let first = with_length("/v1/traces", &export(0..3));
    assert_eq!(send(&mut connection, &first).await, "200");
    let second = in_chunks("/v1/traces", &export(3..5));
    assert_eq!(send(&mut connection, &second).await, "200");

    assert_eq!(receiver.trace(&"07".repeat(16)).spans().len(), 5);
}

#[tokio::test]
async fn an_invalid_export_is_refused_and_the_connection_stays_open() {
    let receiver = Receiver::start().await.unwrap();
    let mut connection = TcpStream::connect(receiver.address).await.unwrap();

    let nonsense = with_length("/v1/traces", b"nonsense");
    assert_eq!(send(&mut connection, &nonsense).await, "400");
    let elsewhere = with_length("/v1/profiles", b"");
    assert_eq!(send(&mut connection, &elsewhere).await, "404");
    let good = with_length("/v1/traces", &export(0..1));
    assert_eq!(send(&mut connection, &good).await, "200");

    assert_eq!(receiver.spans_received(), 1);
}

#[tokio::test]
async fn the_oldest_spans_are_evicted_and_lost_bodies_are_reported() {
    let receiver = Receiver::keeping(Kept::new(4, 10)).await.unwrap();
    let mut connection = TcpStream::connect(receiver.address).await.unwrap();

    for first in [0, 3] {
        let request = with_length("/v1/traces", &export(first..first + 3));
        assert_eq!(send(&mut connection, &request).await, "200");
    }

    let spans = receiver.spans();
    let kept: Vec<_> = spans.iter().map(|span| &*span.span_id).collect();
    let newest = [2_u64, 3, 4, 5].map(|id| format!("{id:016x}"));
    assert_eq!(kept, newest);
    assert_eq!(receiver.spans_received(), 6);
    assert_eq!(receiver.bodies(Signal::Traces), None);
}
