//! Each limit, over TCP, on the real server.

use std::time::Duration;

use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::*;

/// Longer than anything takes here.
const ANSWER: Duration = Duration::from_secs(20);

/// Larger than the buffers of both kernels together.
const BIG: usize = 32 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    number: u32,
}

/// A server with one command, one answer that never comes, one stream, and one large file.
struct Server {
    address: SocketAddr,
    snapshots: watch::Sender<Arc<str>>,
    stop: CancellationToken,
}

impl Server {
    async fn start(limits: FrontLimits) -> Self {
        let front = Front::bind(([127, 0, 0, 1], 0).into(), limits)
            .await
            .unwrap();
        let (snapshots, latest) = watch::channel(Arc::from("{}"));
        let streams = EventStreams::of(latest);
        let routes = Router::new()
            .route("/", get(async || "the page"))
            .route("/big", get(async || vec![b'x'; BIG]))
            .route("/never", get(std::future::pending::<String>))
            .route("/events", get(async move || streams.open()))
            .route(
                "/command",
                post(async |Json(command): Json<Command>| Json(json!({ "got": command.number }))),
            );
        let (address, stop) = (front.address(), CancellationToken::new());
        tokio::spawn(front.serve(routes, stop.clone()));
        Self {
            address,
            snapshots,
            stop,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Status and body of the answer to a request whose connection is closed after it.
    async fn ask(&self, request: &str) -> (u16, String) {
        let mut connection = self.connect().await;
        connection.write_all(request.as_bytes()).await.unwrap();
        read_answer(&mut connection).await
    }

    async fn get(&self, path: &str, headers: &str) -> (u16, String) {
        let host = self.address;
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"
        ))
        .await
    }

    async fn post(&self, body: &str, headers: &str) -> (u16, String) {
        let (host, length) = (self.address, body.len());
        self.ask(&format!(
            "POST /command HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }

    /// An open event stream, after its first event.
    async fn stream(&self) -> TcpStream {
        let mut connection = self.connect().await;
        let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        connection.write_all(request.as_bytes()).await.unwrap();
        until(&mut connection, "data: ").await;
        connection
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

async fn read_answer(connection: &mut TcpStream) -> (u16, String) {
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer);
    // A server that closes with unread bytes resets the connection after its answer.
    let _ = timeout(ANSWER, read).await.expect("an answer in time");
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or(0), body.to_owned())
}

async fn until(connection: &mut TcpStream, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let mut bytes = [0; 1024];
        let count = timeout(ANSWER, connection.read(&mut bytes)).await;
        let count = count.expect("bytes in time").unwrap();
        assert!(count > 0, "the connection ended after {read:?}");
        read += std::str::from_utf8(&bytes[..count]).unwrap();
    }
    read
}

fn error_of(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{body:?} is no JSON"));
    body["error"].as_str().expect("a message").to_owned()
}

#[tokio::test]
async fn a_command_of_the_page_itself_is_answered() {
    let server = Server::start(FrontLimits::default()).await;
    let origin = format!(
        "Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n{JSON}",
        server.address
    );

    assert_eq!(
        server.post(r#"{"number": 7}"#, &origin).await,
        (200, r#"{"got":7}"#.to_owned())
    );
    assert_eq!(server.get("/", "").await, (200, "the page".to_owned()));
}

#[tokio::test]
async fn a_body_that_is_not_the_json_of_the_call_gets_400_with_the_reason() {
    let server = Server::start(FrontLimits::default()).await;

    for (body, reason) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("{}", "missing field"),
        ("{\"number\": -1}", "invalid value"),
        ("{\"number\": 1, \"more\": 2}", "unknown field `more`"),
        ("{\"number\": \"one\"}", "invalid type"),
        ("\u{0}", "expected value"),
    ] {
        let (status, answer) = server.post(body, JSON).await;
        assert_eq!(status, 400, "{body:?}: {answer}");
        assert!(error_of(&answer).contains(reason), "{body:?}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_gets_413_and_is_not_read_to_the_end() {
    let server = Server::start(FrontLimits::default()).await;

    let (status, answer) = server.post(&"x".repeat(5_000), JSON).await;

    assert_eq!(status, 413);
    assert!(error_of(&answer).contains("4096"), "{answer}");
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let server = Server::start(FrontLimits::default()).await;

    for foreign in [
        "Origin: http://example.com\r\n",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n",
    ] {
        let (status, answer) = server
            .post(r#"{"number": 7}"#, &format!("{foreign}{JSON}"))
            .await;
        assert_eq!(status, 403, "{foreign}: {answer}");
        let (status, answer) = server.get("/events", foreign).await;
        assert_eq!(status, 403, "{foreign}: {answer}");
    }
    let link =
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    assert_eq!(server.get("/", link).await.0, 200);
}

#[tokio::test]
async fn a_host_that_is_a_name_is_refused() {
    let server = Server::start(FrontLimits::default()).await;
    let port = server.address.port();

    for (host, expected) in [
        (format!("rebound.example.com:{port}"), 403),
        ("localhost.example.com".to_owned(), 403),
        ("user@127.0.0.1".to_owned(), 403),
        (String::new(), 403),
        (format!("localhost:{port}"), 200),
        (format!("[::1]:{port}"), 200),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let (status, answer) = server.ask(&request).await;
        assert_eq!(status, expected, "{host}: {answer}");
    }
    let without = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(server.ask(without).await.0, 403);
}

#[tokio::test]
async fn a_form_cannot_post() {
    let server = Server::start(FrontLimits::default()).await;

    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let header = format!("Content-Type: {kind}\r\n");
        let (status, answer) = server.post(r#"{"number": 7}"#, &header).await;
        assert_eq!(status, 415, "{kind}: {answer}");
    }
    assert_eq!(server.post(r#"{"number": 7}"#, "").await.0, 415);
}

#[tokio::test]
async fn a_request_that_is_not_answered_in_time_gets_408() {
    let request = Duration::from_millis(200);
    let limits = FrontLimits {
        request,
        ..FrontLimits::default()
    };
    let server = Server::start(limits).await;

    let (status, answer) = server.get("/never", "").await;
    assert_eq!(status, 408);
    assert!(error_of(&answer).contains("200ms"), "{answer}");

    let mut slow = server.connect().await;
    let head = format!(
        "POST /command HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 9\r\n{JSON}\r\n{{",
        server.address
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut slow).await.0, 408);
}

#[tokio::test]
async fn a_connection_that_sends_no_request_is_closed() {
    let head = Duration::from_millis(200);
    let server = Server::start(FrontLimits {
        head,
        ..FrontLimits::default()
    })
    .await;

    for begun in ["", "GET / HTTP/1.1\r\nHo"] {
        let mut connection = server.connect().await;
        connection.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let end = timeout(ANSWER, connection.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "{begun:?}");
    }
}

#[tokio::test]
async fn event_streams_are_bounded_and_a_closed_one_makes_room() {
    let server = Server::start(FrontLimits::default()).await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(server.stream().await);
    }

    let (status, answer) = server.get("/events", "").await;
    assert_eq!(status, 503);
    assert!(error_of(&answer).contains("16"), "{answer}");
    assert_eq!(server.get("/", "").await.0, 200);

    drop(open.pop());
    let deadline = Instant::now() + ANSWER;
    loop {
        // The server notices the end when it writes the next snapshot.
        server.snapshots.send_replace(Arc::from("{\"next\":1}"));
        let mut connection = server.connect().await;
        let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        connection.write_all(request.as_bytes()).await.unwrap();
        if until(&mut connection, "\r\n")
            .await
            .starts_with("HTTP/1.1 200")
        {
            break;
        }
        assert!(Instant::now() < deadline, "no room");
    }
}

#[tokio::test]
async fn a_stream_gets_the_latest_snapshot_and_not_those_that_it_missed() {
    let server = Server::start(FrontLimits::default()).await;
    let mut reader = server.stream().await;

    for number in 0..10_000 {
        server
            .snapshots
            .send_replace(Arc::from(format!("{{\"number\":{number}}}")));
    }

    let read = until(&mut reader, "\"number\":9999}").await;
    assert!(read.len() < 10_000, "{} bytes", read.len());
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_dropped() {
    let stall = Duration::from_millis(300);
    let limits = FrontLimits {
        stall,
        connections: 1,
        ..FrontLimits::default()
    };
    let server = Server::start(limits).await;
    let mut idle = server.connect().await;
    let request = format!("GET /big HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    idle.write_all(request.as_bytes()).await.unwrap();

    // The only connection is free again, although the other end is still open.
    assert_eq!(server.get("/", "").await.0, 200);

    let mut rest = Vec::new();
    let _ = timeout(ANSWER, idle.read_to_end(&mut rest))
        .await
        .expect("an end");
    assert!(rest.len() < BIG, "everything was sent");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_are_served_later() {
    let limits = FrontLimits {
        connections: 2,
        ..FrontLimits::default()
    };
    let server = Server::start(limits).await;
    let first = server.stream().await;
    let _second = server.stream().await;
    let mut third = server.connect().await;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.address
    );
    third.write_all(request.as_bytes()).await.unwrap();
    let mut byte = [0];
    let early = timeout(Duration::from_millis(300), third.read(&mut byte)).await;
    assert!(early.is_err(), "served beyond the limit");

    drop(first);
    server.snapshots.send_replace(Arc::from("{}"));
    server.snapshots.send_replace(Arc::from("{\"next\":1}"));

    assert_eq!(read_answer(&mut third).await.0, 200);
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_connection_only() {
    let server = Server::start(FrontLimits::default()).await;

    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let (status, _) = server.ask(garbage).await;
        assert_ne!(status, 200, "{garbage:?}");
    }
    let huge = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nX: {}\r\n\r\n",
        server.address,
        "x".repeat(100_000)
    );
    assert_ne!(server.ask(&huge).await.0, 200);
    assert_eq!(server.get("/", "").await.0, 200);
}

#[tokio::test]
async fn every_answer_forbids_foreign_scripts_and_frames() {
    let server = Server::start(FrontLimits::default()).await;
    let mut connection = server.connect().await;
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    connection.write_all(request.as_bytes()).await.unwrap();

    let head = until(&mut connection, "the page").await;

    for needed in [
        "default-src 'self'",
        "frame-ancestors 'none'",
        "nosniff",
        "no-store",
    ] {
        assert!(head.contains(needed), "{needed} is missing in {head}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_option_that_changes_it() {
    let server = Server::start(FrontLimits::default()).await;

    let refused = Front::bind(server.address, FrontLimits::default()).await;

    let message = format!("{:#}", refused.unwrap_err());
    assert!(
        message.contains(&server.address.port().to_string()),
        "{message}"
    );
    assert!(message.contains("--page-port"), "{message}");
}
