//! Many connections, and connections that send without reading: order-service keeps serving, and its memory is bounded.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tests::system::{Draft, Process, Service, System};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The HTTP/2 preface and empty settings: the minimum for an open connection.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The same with a window of zero: no answer may be sent until the client opens the window (RFC 9113, section 6.5.2).
const GREETING_WITHOUT_WINDOW: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";

/// A ping, and settings: both require an answer.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0whatever";
const SETTING: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";

const IDLE: usize = 10_000;

/// For the connections, and for everything else that a process has open.
const DESCRIPTORS: u64 = IDLE as u64 + 1_000;

/// Connections opened concurrently: below the kernel's accept backlog.
const OPENING: usize = 64;

/// Maximum memory of one idle connection. It takes about 15 KiB, mostly buffers of the HTTP/2 library.
const BYTES_PER_CONNECTION: u64 = 64 * 1_024;

/// Maximum memory of one connection that floods and does not read. Far above its windows and buffers, and far below the
/// number of bytes sent.
const BYTES_PER_FLOOD: u64 = 32 * 1_024 * 1_024;

/// A write is stuck when no byte is accepted for this long.
const STUCK: Duration = Duration::from_millis(500);

/// Maximum bytes of a flood, if the server accepts them all.
const FLOOD: usize = 64 * 1_024 * 1_024;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_use_little_memory_and_other_calls_are_served() -> Result<()>
{
    allow_descriptors()?;
    let room = (Service::Orders, "GRPC_CONNECTIONS", "10500");
    let system = System::start_one_of_each(&[room]).await?;
    serves(&system).await?;
    let process = Process::only(Service::Orders);
    let before = system.memory_of(process)?;

    let idle = open(system.addresses().orders[0], GREETING, IDLE).await?;

    let cost = system.memory_of(process)?.saturating_sub(before);
    println!("{IDLE} idle connections cost {} KiB", cost / 1_024);
    ensure!(cost < IDLE as u64 * BYTES_PER_CONNECTION, "{cost} bytes");
    serves(&system).await?;
    let open = idle.iter().filter(|connection| is_open(connection)).count();
    ensure!(open == IDLE, "{open} connections are still open");
    let stopped = system.stop(Service::Orders).await?;
    ensure!(stopped.is_clean(), "they delay the stop: {stopped}");
    system.restart(Service::Orders).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_floods_without_reading_uses_bounded_memory() -> Result<()> {
    let system = System::start_one_of_each(&[]).await?;
    serves(&system).await?;
    let process = Process::only(Service::Orders);
    let address = system.addresses().orders[0];

    for (name, greeting, flood) in [
        ("pings", GREETING, PING.to_vec()),
        ("settings", GREETING, SETTING.to_vec()),
        ("calls", GREETING_WITHOUT_WINDOW, Vec::new()),
    ] {
        let before = system.memory_of(process)?;
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(greeting).await?;
        let sent = match flood.is_empty() {
            false => flood_until_stuck(&mut connection, &flood).await,
            true => call_until_stuck(&mut connection).await,
        };

        let cost = system.memory_of(process)?.saturating_sub(before);
        println!("{sent} bytes of {name} cost {} KiB", cost / 1_024);
        ensure!(cost < BYTES_PER_FLOOD, "{name}: {cost} bytes");
        serves(&system).await?;
    }
    system.finish().await
}

/// The test and its services need one descriptor per connection.
fn allow_descriptors() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        hard >= DESCRIPTORS,
        "this test needs {DESCRIPTORS} file descriptors, {hard} are allowed (ulimit -Hn)"
    );
    if soft < DESCRIPTORS {
        setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, hard)?;
    }
    Ok(())
}

/// Opens connections that send this greeting only; each of them has been answered.
async fn open(address: SocketAddr, greeting: &[u8], count: usize) -> Result<Vec<TcpStream>> {
    let connect = |_| async move {
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(greeting).await?;
        // The frame header of the server's settings.
        connection.read_exact(&mut [0; 9]).await?;
        io::Result::Ok(connection)
    };
    let connections = stream::iter(0..count)
        .map(connect)
        .buffer_unordered(OPENING);
    let connections = connections.try_collect().await;
    connections.context("a connection was refused")
}

/// Whether the connection is still open after all received data is read.
fn is_open(connection: &TcpStream) -> bool {
    loop {
        match connection.try_read(&mut [0; 64]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// Sends the same bytes repeatedly without reading until the server accepts no more.
async fn flood_until_stuck(connection: &mut TcpStream, bytes: &[u8]) -> usize {
    let portion = bytes.repeat(4_096);
    let mut sent = 0;
    while sent < FLOOD {
        match timeout(STUCK, connection.write_all(&portion)).await {
            Ok(Ok(())) => sent += portion.len(),
            // Stuck, or closed by the server.
            _ => break,
        }
    }
    sent
}

/// Opens streams, each with a call that is answered at once, until the server accepts no more.
async fn call_until_stuck(connection: &mut TcpStream) -> usize {
    let mut sent = 0;
    for stream in (1..40_000).step_by(2) {
        let call = health_check(stream);
        match timeout(STUCK, connection.write_all(&call)).await {
            Ok(Ok(())) => sent += call.len(),
            _ => break,
        }
    }
    sent
}

/// A health check on a stream: literal header fields (RFC 7541, section 6.2.2), and an empty message.
fn health_check(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", "some.test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend(text.as_bytes());
        }
    }
    let mut frames = vec![0, 0, block.len() as u8, 1, 4];
    frames.extend(stream.to_be_bytes());
    frames.extend(block);
    frames.extend([0, 0, 5, 0, 1]);
    frames.extend(stream.to_be_bytes());
    frames.extend([0; 5]);
    frames
}

async fn serves(system: &System) -> Result<()> {
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;
    Ok(())
}
