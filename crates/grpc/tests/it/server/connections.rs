//! Connection limit, eviction, and maximum age.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join;
use grpc::tls::Connector;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tower::ServiceExt as _;

use crate::eventually::eventually;
use crate::server::certificates::{Authority, HOST};
use crate::server::running_server::{RunningServer, ServerOptions, connector};

/// Preface and empty settings: the minimum for an open connection.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// RFC 9113, section 6.7: must be acknowledged.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0whatever";

/// Longer than the drain time, shorter than any keepalive.
const SOON: Duration = Duration::from_secs(15);

async fn greet(address: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(GREETING).await.unwrap();
    // The server's settings: it has read the preface.
    tcp.read_exact(&mut [0; 9]).await.unwrap();
    tcp
}

/// Returns when the server has closed the connection.
async fn is_closed(mut stream: impl AsyncRead + Unpin) {
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

fn most(connections: usize) -> ServerOptions<'static> {
    ServerOptions {
        connections,
        ..ServerOptions::default()
    }
}

#[tokio::test]
async fn at_the_limit_an_idle_connection_is_evicted_and_an_active_one_is_not() {
    let server = RunningServer::start(most(2)).await;
    let mut working = server.call_plain().await.unwrap();
    let _in_work = working.watch().await;
    let idle = greet(server.address).await;

    server.call_plain().await.unwrap();

    is_closed(idle).await;
    working.check().await.unwrap();
    assert_eq!(working.connections(), 1);
}

#[tokio::test]
async fn when_all_connections_are_active_a_new_one_is_rejected() {
    let server = RunningServer::start(most(1)).await;
    let mut working = server.call_plain().await.unwrap();
    let in_work = working.watch().await;

    server.call_plain().await.unwrap_err();

    working.check().await.unwrap();
    assert_eq!(working.connections(), 1);
    drop(in_work);
    eventually("the idle connection is evicted", async || {
        server.call_plain().await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_idle_connections_does_not_lock_out_clients() {
    let server = RunningServer::start(most(20)).await;
    let mut working = server.call_plain().await.unwrap();
    let _in_work = working.watch().await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(greet(server.address).await);
    }

    server.call_plain().await.unwrap();

    working.check().await.unwrap();
    assert_eq!(working.connections(), 1);
    for tcp in idle.into_iter().take(180) {
        is_closed(tcp).await;
    }
}

#[tokio::test]
async fn a_client_that_reads_no_responses_is_evicted_too() {
    let server = RunningServer::start(most(1)).await;
    let mut greedy = greet(server.address).await;
    ping_until_the_server_blocks(&mut greedy).await;

    server.call_plain().await.unwrap();

    // Reading would unblock the server.
    let hung_up_on = eventually("the server has hung up", async || {
        let written = greedy.try_write(PING).map_err(|error| error.kind());
        matches!(written, Err(kind) if kind != io::ErrorKind::WouldBlock)
    });
    let in_time = tokio::time::timeout(SOON, hung_up_on).await;
    in_time.expect("it did not wait for a keepalive");
}

/// Sends pings and reads nothing, until the server can neither write nor, therefore, read.
async fn ping_until_the_server_blocks(tcp: &mut TcpStream) {
    let pings = PING.repeat(10_000);
    let stuck = Duration::from_millis(500);
    while tokio::time::timeout(stuck, tcp.write_all(&pings))
        .await
        .is_ok()
    {}
}

#[tokio::test]
async fn a_connection_without_a_preface_is_closed() {
    let authority = Authority::new();
    let plain = RunningServer::start(ServerOptions::default()).await;
    let encrypted = RunningServer::start_with(authority.issue(HOST)).await;
    let without_tls = TcpStream::connect(plain.address).await.unwrap();
    let address = format!("https://{}", encrypted.address).parse().unwrap();
    let with_tls = connector(&authority, None, HOST).oneshot(address).await;

    let both = join(
        is_closed(without_tls),
        is_closed(with_tls.unwrap().into_inner()),
    );

    let closed = tokio::time::timeout(SOON, both).await;
    closed.expect("the server has hung up");
}

#[tokio::test]
async fn a_connection_gets_goaway_at_its_maximum_age_and_in_flight_calls_continue() {
    let server = RunningServer::start(ServerOptions {
        age: Duration::from_millis(300),
        ..ServerOptions::default()
    })
    .await;
    let mut client = server.connect(Connector::plain()).await.unwrap();
    let mut in_work = client.watch().await;

    eventually("there is a new connection", async || {
        // A call may race with the GOAWAY: then it was not sent and may be retried.
        let called = client.check().await.map_err(|status| status.code());
        assert!(
            matches!(called, Ok(()) | Err(Code::Cancelled)),
            "{called:?}"
        );
        client.connections() > 1
    })
    .await;

    let still_there = tokio::time::timeout(Duration::from_millis(1), in_work.message()).await;
    assert!(still_there.is_err(), "{still_there:?}");
}
