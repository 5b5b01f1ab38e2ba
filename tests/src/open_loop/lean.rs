//! A minimal unary gRPC client: one HTTP/2 stream per call and nothing around it.
//!
//! Where client and server share two cores, a full client takes most of the CPU under load and the measurement shows
//! the client. This one encodes the message and reads the status and the answer; it has no balancer, no buffer, no
//! retries and no timers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use h2::RecvStream;
use h2::client::SendRequest;
use prost::Message;
use prost::bytes::{BufMut, Bytes, BytesMut};
use proto::orders::v1::{Order, PlaceOrderRequest, PlaceOrderResponse};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::codegen::http::{HeaderValue, Request, Uri};

const PLACE_ORDER: &str = "/orders.v1.OrderService/PlaceOrder";

/// gRPC message prefix: the compression flag and the length.
const PREFIX: usize = 5;

/// Flow-control window for answers in flight: large enough never to be the limit.
const WINDOW: u32 = 4 * 1024 * 1024;

/// Open connections to one server, used round robin; clones share them.
#[derive(Clone, Debug)]
pub struct LeanConnections {
    uri: Uri,
    timeout: HeaderValue,
    connections: Arc<Vec<SendRequest<Bytes>>>,
    turn: Arc<AtomicUsize>,
}

impl LeanConnections {
    /// Opens this many connections for calls of the method at `path`; each call sends `deadline` to the server.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn open(
        address: SocketAddr,
        number: usize,
        path: &str,
        deadline: Duration,
    ) -> Result<Self> {
        let mut connections = Vec::with_capacity(number);
        for _ in 0..number {
            connections.push(connect(address).await?);
        }
        Ok(Self {
            uri: format!("http://{address}{path}").parse()?,
            timeout: HeaderValue::try_from(format!("{}m", deadline.as_millis()))?,
            connections: Arc::new(connections),
            turn: Arc::default(),
        })
    }

    /// The same for PlaceOrder.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn for_orders(
        address: SocketAddr,
        number: usize,
        deadline: Duration,
    ) -> Result<Self> {
        Self::open(address, number, PLACE_ORDER, deadline).await
    }

    /// Places an order, over connections for orders.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn place(&self, request: &PlaceOrderRequest) -> Result<Order, Status> {
        let answer: PlaceOrderResponse = self.call(request).await?;
        let order = answer.order;
        order.ok_or_else(|| Status::data_loss("the answer has no order"))
    }

    /// Calls the method with a message.
    ///
    /// # Errors
    /// The status of the answer, or UNAVAILABLE when the connection fails.
    pub async fn call<A: Message + Default>(&self, message: &impl Message) -> Result<A, Status> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let sender = self.connections[turn].clone();
        let mut sender = sender.ready().await.map_err(broken)?;
        let (answer, mut body) = sender.send_request(self.head(), false).map_err(broken)?;
        // An error means that the server has refused the call already; its answer follows.
        let _ = body.send_data(frame(message), true);
        let (head, body) = answer.await.map_err(broken)?.into_parts();
        match Status::from_header_map(&head.headers) {
            Some(status) => Err(status),
            None => whole_answer(body).await,
        }
    }

    fn head(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = tonic::codegen::http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("te", HeaderValue::from_static("trailers"));
        headers.insert("grpc-timeout", self.timeout.clone());
        request
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let (sender, connection) = builder.handshake(tcp).await.context("HTTP/2")?;
    // A broken connection shows up as failed calls.
    tokio::spawn(connection);
    Ok(sender)
}

fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    // Messages are far below 4 GiB.
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // Cannot fail: the capacity was reserved.
    let _ = message.encode(&mut frame);
    frame.freeze()
}

async fn whole_answer<A: Message + Default>(mut body: RecvStream) -> Result<A, Status> {
    let mut received = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(broken)?;
        // An error is harmless: the window is far larger than an answer.
        let _ = body.flow_control().release_capacity(data.len());
        received.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.map_err(broken)?.unwrap_or_default();
    match Status::from_header_map(&trailers) {
        Some(status) if status.code() == tonic::Code::Ok => {}
        Some(status) => return Err(status),
        None => return Err(Status::data_loss("the answer has no status")),
    }
    let message = received.get(PREFIX..).unwrap_or_default();
    A::decode(message).map_err(|_| Status::data_loss("invalid answer"))
}

fn broken(error: h2::Error) -> Status {
    Status::unavailable(error.to_string())
}
