//! Handwritten HTTP/2 frames (RFC 9113), for what no library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connection preface (section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags of HEADERS; the second is also valid for DATA.
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const END_STREAM: u8 = 1;

/// Error codes (section 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Length of a frame header.
const HEAD: usize = 9;

/// A received frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Header fields of a health check.
pub(crate) fn health_check() -> Vec<u8> {
    call_of("/grpc.health.v1.Health/Check")
}

/// Header fields of a call of this path.
pub(crate) fn call_of(path: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "some.test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let fields = fields.map(|(name, value)| field(name, value));
    fields.concat()
}

/// A literal header field (RFC 7541, section 6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        // Longer texts need a multi-byte length.
        assert!(text.len() < 127);
        field.push(u8::try_from(text.len()).unwrap());
        field.extend(text.as_bytes());
    }
    field
}

/// An empty message in its gRPC frame.
pub(crate) const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// A raw connection.
pub(crate) struct RawConnection(TcpStream);

impl RawConnection {
    /// Opens a connection and sends nothing.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Opens a connection and sends the preface and settings.
    pub(crate) async fn greet(address: SocketAddr) -> Self {
        let mut connection = Self::open(address).await;
        connection.send(PREFACE).await.unwrap();
        connection.send(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        connection
    }

    /// The server's half of a connection: reads the preface and sends settings.
    pub(crate) async fn accept(mut tcp: TcpStream) -> Self {
        let mut preface = [0; PREFACE.len()];
        tcp.read_exact(&mut preface).await.unwrap();
        assert_eq!(preface, PREFACE);
        let mut connection = Self(tcp);
        connection.send(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        connection
    }

    /// Fails when the other side has closed the connection.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// The next frame; `None` when the other side has closed the connection.
    pub(crate) async fn receive(&mut self) -> Option<Frame> {
        let mut head = [0; HEAD];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// The next frame of this type; `None` when the other side has closed the connection without one.
    pub(crate) async fn receive_one(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.receive().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Error code of the GOAWAY; `None` when the server closes without one.
    pub(crate) async fn goaway(&mut self) -> Option<u32> {
        let goaway = self.receive_one(GOAWAY).await?;
        let reason = goaway.payload[4..8].try_into().unwrap();
        Some(u32::from_be_bytes(reason))
    }
}
