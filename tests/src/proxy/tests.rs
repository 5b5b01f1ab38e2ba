use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::*;

/// Long enough to be sure that nothing arrives.
const NOTHING: Duration = Duration::from_millis(200);

/// Timeout of every expected event.
const SOON: Duration = Duration::from_secs(10);

fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// An echo server.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(anywhere()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = connection.split();
                // Ends with an error when the proxy resets it.
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    address
}

async fn proxy() -> Proxy {
    Proxy::start(anywhere(), echo().await).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// Sends bytes and waits for the echo.
async fn round_trip(connection: &mut TcpStream, bytes: &[u8]) -> Duration {
    let sent = Instant::now();
    let mut back = vec![0; bytes.len()];
    let (mut read, mut write) = connection.split();
    let both = async {
        tokio::try_join!(write.write_all(bytes), read.read_exact(&mut back)).unwrap();
    };
    timeout(SOON, both).await.unwrap();
    assert_eq!(back, bytes);
    sent.elapsed()
}

#[tokio::test]
async fn bytes_are_forwarded_unchanged_and_in_order_and_a_close_is_forwarded() {
    let proxy = proxy().await;
    let mut connection = connect(&proxy).await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();

    round_trip(&mut connection, &bytes).await;
    connection.shutdown().await.unwrap();

    let mut rest = Vec::new();
    let end = timeout(SOON, connection.read_to_end(&mut rest)).await;
    assert_eq!(end.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn latency_delays_each_way_and_keeps_the_order() {
    let proxy = proxy().await;
    let mut connection = connect(&proxy).await;
    proxy.set(NetworkFault::Latency {
        fixed: Duration::from_millis(50),
        jitter: Duration::from_millis(20),
    });

    for number in 0..3 {
        let took = round_trip(&mut connection, &[number]).await;
        assert!(took >= Duration::from_millis(100), "{took:?}");
    }
    proxy.set(NetworkFault::Pass);

    let took = round_trip(&mut connection, b"again").await;
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test]
async fn a_throttled_line_is_limited_in_bytes_per_second_until_the_fault_ends() {
    let proxy = proxy().await;
    let mut connection = connect(&proxy).await;
    proxy.set(NetworkFault::Throttle {
        bytes_per_second: 100_000,
    });

    // Both directions at once: the line is busy for 0.1 s per 10,000 bytes.
    let took = round_trip(&mut connection, &[7; 40_000]).await;

    assert!(took >= Duration::from_millis(250), "{took:?}");
    proxy.set(NetworkFault::Pass);
    let took = round_trip(&mut connection, &[7; 40_000]).await;
    assert!(took < Duration::from_millis(250), "{took:?}");
}

#[tokio::test]
async fn a_cut_resets_open_connections_and_refuses_new_ones_until_the_fault_ends() {
    let proxy = proxy().await;
    let mut connection = connect(&proxy).await;
    round_trip(&mut connection, b"before").await;

    proxy.set(NetworkFault::Cut);

    let broken = timeout(SOON, connection.read(&mut [0])).await.unwrap();
    let kind = broken.unwrap_err().kind();
    assert_eq!(kind, io::ErrorKind::ConnectionReset);
    let refused = timeout(SOON, async {
        loop {
            match TcpStream::connect(proxy.address()).await {
                Ok(_) => sleep(LISTEN_AGAIN).await,
                Err(error) => return error.kind(),
            }
        }
    });
    assert_eq!(refused.await.unwrap(), io::ErrorKind::ConnectionRefused);
    proxy.set(NetworkFault::Pass);
    let mended = async {
        loop {
            match TcpStream::connect(proxy.address()).await {
                Ok(connection) => return connection,
                Err(_) => sleep(LISTEN_AGAIN).await,
            }
        }
    };
    let mut connection = timeout(SOON, mended).await.unwrap();
    round_trip(&mut connection, b"after").await;
}

#[tokio::test]
async fn a_half_open_line_accepts_forwards_nothing_and_delivers_when_the_fault_ends() {
    let proxy = proxy().await;
    let mut old = connect(&proxy).await;
    round_trip(&mut old, b"before").await;

    proxy.set(NetworkFault::HalfOpen);

    let mut new = connect(&proxy).await;
    for connection in [&mut old, &mut new] {
        connection.write_all(b"hello").await.unwrap();
        let silence = timeout(NOTHING, connection.read(&mut [0])).await;
        assert!(silence.is_err(), "{silence:?}");
    }
    proxy.set(NetworkFault::Pass);
    for connection in [&mut old, &mut new] {
        let mut back = [0; 5];
        let delivered = timeout(SOON, connection.read_exact(&mut back)).await;
        delivered.unwrap().unwrap();
        assert_eq!(&back, b"hello");
    }
}

#[tokio::test]
async fn a_half_open_line_that_is_cut_resets_its_connections() {
    let proxy = proxy().await;
    proxy.set(NetworkFault::HalfOpen);
    let mut connection = connect(&proxy).await;
    connection.write_all(b"hello").await.unwrap();

    proxy.set(NetworkFault::Cut);

    let broken = timeout(SOON, connection.read(&mut [0])).await.unwrap();
    assert!(broken.is_err(), "{broken:?}");
}

#[tokio::test]
async fn a_connection_is_closed_in_the_middle_of_a_message_at_its_byte_limit() {
    let proxy = proxy().await;
    proxy.set(NetworkFault::CloseAfter { bytes: 100 + 40 });
    let mut connection = connect(&proxy).await;

    connection.write_all(&[7; 100]).await.unwrap();

    let mut back = Vec::new();
    let end = timeout(SOON, connection.read_to_end(&mut back)).await;
    assert_eq!(end.unwrap().unwrap(), 40);
    let mut next = connect(&proxy).await;
    round_trip(&mut next, &[7; 70]).await;
}

#[tokio::test]
async fn an_unreachable_server_breaks_the_connection() {
    let unused = TcpListener::bind(anywhere()).await.unwrap();
    let upstream = unused.local_addr().unwrap();
    drop(unused);
    let proxy = Proxy::start(anywhere(), upstream).await.unwrap();

    let mut connection = connect(&proxy).await;

    let broken = timeout(SOON, connection.read(&mut [0])).await.unwrap();
    assert!(broken.is_err(), "{broken:?}");
}

#[tokio::test]
async fn connections_end_with_the_proxy() {
    let proxy = proxy().await;
    let mut connection = connect(&proxy).await;
    round_trip(&mut connection, b"before").await;

    drop(proxy);

    let broken = timeout(SOON, connection.read(&mut [0])).await.unwrap();
    assert!(broken.is_err(), "{broken:?}");
}

#[tokio::test]
async fn a_stalled_reader_stalls_the_sender_and_memory_stays_bounded() {
    let sink = TcpListener::bind(anywhere()).await.unwrap();
    let proxy = Proxy::start(anywhere(), sink.local_addr().unwrap())
        .await
        .unwrap();
    let mut sender = connect(&proxy).await;
    let (stalled, _) = sink.accept().await.unwrap();

    // More than the sockets of all four ends and the queue between them hold together.
    const MOST: usize = 64 * 1024 * 1024;
    let mut taken = 0;
    while let Ok(written) = timeout(NOTHING * 5, sender.write(&[7; 64 * 1024])).await {
        taken += written.unwrap();
        assert!(taken < MOST, "the proxy buffers without bound");
    }

    assert!(taken > 0);
    drop(stalled);
}
