//! Invalid input gets a clean status, and other clients are still served.

use anyhow::{Context as _, Result};
use proto::orders::v1::{PlaceOrderRequest, WatchOrderRequest};
use tests::system::{Draft, Service, System};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn all_invalid_fields_are_named_in_one_answer() -> Result<()> {
    let system = System::start().await?;
    let mut request = Draft::of("MUG", 0).and("", 1).request();
    request.request_id = "no uuid".to_owned();
    request.customer_id = "x".repeat(65);
    request.payment_token = String::new();
    if let Some(price) = &mut request.lines[1].unit_price {
        price.minor_units = -1;
    }

    let status = system.place(request).await.expect_err("six faults");

    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_details_bad_request().expect("a BadRequest");
    let fields: Vec<&str> = details
        .field_violations
        .iter()
        .map(|violation| &*violation.field)
        .collect();
    for field in [
        "request_id",
        "customer_id",
        "payment_token",
        "lines[0].quantity",
        "lines[1].sku",
        "lines[1].unit_price.minor_units",
    ] {
        assert!(fields.contains(&field), "{field} is missing in {fields:?}");
    }
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_request_is_refused_field_by_field() -> Result<()> {
    let system = System::start().await?;

    let placed = system.place(PlaceOrderRequest::default()).await;
    let watched = system
        .client()
        .watch_order(WatchOrderRequest {
            order_id: "no uuid".to_owned(),
            after_version: -1,
        })
        .await;

    for status in [placed.err(), watched.err()] {
        let status = status.context("an error")?;
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_details_bad_request().context("a BadRequest")?;
        assert!(details.field_violations.len() >= 2, "{details:?}");
    }
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_page_token_is_refused() -> Result<()> {
    let system = System::start().await?;

    let status = system.list(2, "not-a-token").await.expect_err("the token");

    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_details_bad_request().expect("a BadRequest");
    assert_eq!(details.field_violations[0].field, "page_token");
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_protobuf_get_a_status() -> Result<()> {
    let system = System::start().await?;

    let status = place_bytes(&system, vec![0xff; 64]).await?;

    assert_eq!(status.code(), Code::Internal, "{status:?}");
    still_serves(&system).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_message_is_refused() -> Result<()> {
    let system = System::start().await?;

    let status = place_bytes(&system, vec![0; 300 * 1024]).await?;

    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    still_serves(&system).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_with_garbage_or_silence_disturb_no_other_client() -> Result<()> {
    let system = System::start().await?;
    let address = system.addresses().orders[0];
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await?);
    }
    let mut half_open = TcpStream::connect(address).await?;
    half_open.write_all(b"PRI * HTTP/2.0\r\n\r\nSM").await?;
    let mut nonsense = TcpStream::connect(address).await?;
    nonsense.write_all(b"\x00\x01nonsense\r\n\r\n").await?;

    still_serves(&system).await?;

    let mut answer = Vec::new();
    nonsense.read_to_end(&mut answer).await.ok();
    // All of them are still open while the system stops: they must not delay the stop either.
    let stopped = system.stop(Service::Orders).await?;
    assert!(stopped.is_clean(), "{stopped}");
    system.restart(Service::Orders).await?;
    drop((silent, half_open));
    system.finish().await
}

async fn still_serves(system: &System) -> Result<()> {
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;
    Ok(())
}

/// Sends raw bytes in the place of a PlaceOrderRequest.
async fn place_bytes(system: &System, bytes: Vec<u8>) -> Result<Status> {
    let endpoint = Endpoint::from_shared(format!("http://{}", system.addresses().orders[0]))?;
    let mut client = tonic::client::Grpc::new(endpoint.connect().await?);
    client.ready().await?;
    let path = "/orders.v1.OrderService/PlaceOrder".parse()?;
    let answer = client.unary(Request::new(bytes), path, Bytes).await;
    answer.err().context("the bytes are refused")
}

/// A codec that passes bytes through unchanged.
#[derive(Clone, Copy, Debug)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; prost::bytes::Buf::remaining(buffer)];
        prost::bytes::Buf::copy_to_slice(buffer, &mut item);
        Ok(Some(item))
    }
}
