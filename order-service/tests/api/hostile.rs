//! Requests that no generated client sends: the exact response to each, and that the next request is served.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message;
use prost::bytes::Bytes;
use proto::orders::v1::ListOrdersRequest;
use tokio::time::timeout;
use tonic::codegen::http::{HeaderMap, Request, StatusCode};
use tonic::{Code, Status};

use super::bare::reason;
use super::service::{Service, request};

/// Far longer than any of these takes.
const SOON: Duration = Duration::from_secs(20);

const PLACE_ORDER: &str = "/orders.v1.OrderService/PlaceOrder";

/// How gRPC frames a message: whether it is compressed, its length, its bytes.
fn framed(is_compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [
        &[u8::from(is_compressed)],
        &length.to_be_bytes()[..],
        message,
    ]
    .concat()
}

/// Sends these bytes under these header fields on top of those of gRPC.
async fn send(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
    body: Vec<u8>,
) -> (StatusCode, HeaderMap) {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let mut request = Request::post(format!("http://{address}{path}"))
        .body(Full::from(body))
        .unwrap();
    let usual = [("content-type", "application/grpc"), ("te", "trailers")];
    for (name, value) in usual.iter().chain(headers) {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let answer = timeout(SOON, client.request(request)).await.unwrap();
    let (head, body) = answer.unwrap().into_parts();
    let mut headers = head.headers;
    let body = timeout(SOON, body.collect()).await.unwrap().unwrap();
    headers.extend(body.trailers().cloned().unwrap_or_default());
    (head.status, headers)
}

/// The gRPC status of a response.
async fn refused(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
    body: Vec<u8>,
) -> Status {
    let (_, headers) = send(address, path, headers, body).await;
    Status::from_header_map(&headers).unwrap()
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let mut service = Service::start().await;
    let whole = request("17850").encode_to_vec();
    let messages: [&[u8]; 5] = [
        &[0xff; 64],
        // A length beyond the end of the message.
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        // Text that is no UTF-8.
        &[0x0a, 0x02, 0xc3, 0x28],
        // A field of another type than in the contract.
        &[0x08, 0x01],
        &whole[..whole.len() - 1],
    ];

    for message in messages {
        let body = framed(false, message);
        let status = refused(service.address, PLACE_ORDER, &[], body).await;

        assert_eq!(status.code(), Code::Internal, "{message:x?}");
        assert_eq!(reason(&status), "MALFORMED_MESSAGE");
        service.place(request("17850")).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_is_no_whole_frame_is_refused() {
    let mut service = Service::start().await;
    let half = framed(false, &[0; 100])[..50].to_vec();

    for body in [vec![], vec![0, 0], half] {
        let status = refused(service.address, PLACE_ORDER, &[], body).await;

        assert_eq!(status.code(), Code::Internal, "{status:?}");
        service.place(request("17850")).await.unwrap();
    }
}

/// The library reads no further than it has to.
#[tokio::test]
async fn of_two_messages_in_one_call_the_first_counts() {
    let service = Service::start().await;
    let message = |customer| framed(false, &request(customer).encode_to_vec());
    let both = [message("17850"), message("13047")].concat();

    let (_, headers) = send(service.address, PLACE_ORDER, &[], both).await;

    assert_eq!(Status::from_header_map(&headers).unwrap().code(), Code::Ok);
    assert_eq!(orders_of(&service, "17850").await, 1);
    assert_eq!(orders_of(&service, "13047").await, 0);
}

async fn orders_of(service: &Service, customer: &str) -> usize {
    let request = ListOrdersRequest {
        customer_id: customer.to_owned(),
        ..Default::default()
    };
    let page = service.client.clone().list_orders(request).await.unwrap();
    page.into_inner().orders.len()
}

#[tokio::test]
async fn a_false_length_prefix_allocates_no_memory_and_is_refused() {
    let mut service = Service::start().await;
    let mut body = framed(false, &[]);
    body[1..5].copy_from_slice(&u32::MAX.to_be_bytes());

    let status = refused(service.address, PLACE_ORDER, &[], body).await;

    assert_eq!(status.code(), Code::OutOfRange);
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
    service.place(request("17850")).await.unwrap();
}

#[tokio::test]
async fn more_lines_than_an_order_may_have_are_refused_however_many() {
    let mut service = Service::start().await;
    let mut long = request("17850");
    long.lines = vec![long.lines[0].clone(); 501];
    // Two bytes each: they fit the limit of a message.
    let empty_lines = [0x1a, 0].repeat(100_000);

    for message in [long.encode_to_vec(), empty_lines] {
        let body = framed(false, &message);
        let status = refused(service.address, PLACE_ORDER, &[], body).await;

        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status), "INVALID_REQUEST");
        service.place(request("17850")).await.unwrap();
    }
}

#[tokio::test]
async fn groups_within_groups_are_followed_only_so_deep() {
    let mut service = Service::start().await;
    // Unknown fields: the parser must find their ends.
    let groups = [0x7b].repeat(100_000);

    let status = refused(service.address, PLACE_ORDER, &[], framed(false, &groups)).await;

    assert_eq!(status.code(), Code::Internal);
    assert_eq!(reason(&status), "MALFORMED_MESSAGE");
    service.place(request("17850")).await.unwrap();
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let service = Service::start().await;
    let mut message = request("17850").encode_to_vec();
    // Field 1,000, a number.
    message.extend([0xc0, 0x3e, 0x07]);

    let (_, headers) = send(service.address, PLACE_ORDER, &[], framed(false, &message)).await;

    assert_eq!(Status::from_header_map(&headers).unwrap().code(), Code::Ok);
}

#[tokio::test]
async fn a_compressed_message_is_refused_and_not_expanded() {
    let mut service = Service::start().await;
    // The gzip header. The rest is never read.
    let bomb = [&[0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0xff][..], &[0; 1_000]].concat();

    for encoding in ["gzip", "deflate", "zstd", "nonsense"] {
        let headers = [("grpc-encoding", encoding)];
        let body = framed(true, &bomb);
        let status = refused(service.address, PLACE_ORDER, &headers, body).await;

        assert_eq!(status.code(), Code::Unimplemented, "{encoding}");
        assert_eq!(reason(&status), "UNIMPLEMENTED");
        service.place(request("17850")).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_that_only_says_that_it_is_compressed_is_refused() {
    let mut service = Service::start().await;
    let body = framed(true, &request("17850").encode_to_vec());

    let status = refused(service.address, PLACE_ORDER, &[], body).await;

    assert_eq!(status.code(), Code::Internal);
    assert_eq!(reason(&status), "MALFORMED_MESSAGE");
    service.place(request("17850")).await.unwrap();
}

#[tokio::test]
async fn an_unknown_method_or_service_is_unimplemented() {
    let mut service = Service::start().await;

    for path in [
        "/orders.v1.OrderService/DropTables",
        "/orders.v2.OrderService/PlaceOrder",
        "/",
        "/orders.v1.OrderService/PlaceOrder/",
        "/orders.v1.OrderService/../OrderService/PlaceOrder",
        "/%00",
    ] {
        let status = refused(service.address, path, &[], framed(false, &[])).await;

        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert_eq!(reason(&status), "UNIMPLEMENTED");
        service.place(request("17850")).await.unwrap();
    }
}

/// tonic ignores the header, and nothing depends on it: an invalid message is refused as such.
#[tokio::test]
async fn a_body_with_another_content_type_is_read_as_a_message() {
    let service = Service::start().await;

    for kind in ["application/json", "text/html"] {
        let headers = [("content-type", kind)];
        let order = framed(false, &request("17850").encode_to_vec());
        let (_, served) = send(service.address, PLACE_ORDER, &headers, order).await;
        let text = b"{\"customer_id\": \"17850\"}".to_vec();
        let refused = refused(service.address, PLACE_ORDER, &headers, text).await;

        assert_eq!(Status::from_header_map(&served).unwrap().code(), Code::Ok);
        assert_ne!(refused.code(), Code::Ok, "{kind}");
        assert!(!reason(&refused).is_empty());
    }
}
