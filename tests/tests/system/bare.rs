//! A client without timers and retries, so that every result is the server's decision.

use std::net::SocketAddr;

use anyhow::Result;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use proto::orders::v1::order_service_client::OrderServiceClient;
use tonic::Request;
use tonic::body::Body;
use tonic::metadata::MetadataValue;

/// The generated client on a plain hyper client.
pub(crate) type BareClient = OrderServiceClient<Client<HttpConnector, Body>>;

pub(crate) fn client(address: SocketAddr) -> Result<BareClient> {
    let mut connector = HttpConnector::new();
    // Otherwise Nagle's algorithm delays a request by 40 ms while the previous one is unacknowledged.
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build(connector);
    let origin = format!("http://{address}").parse()?;
    Ok(OrderServiceClient::with_origin(client, origin))
}

pub(crate) fn with_timeout<T>(message: T, timeout: &'static str) -> Request<T> {
    let mut request = Request::new(message);
    let timeout = MetadataValue::from_static(timeout);
    request.metadata_mut().insert("grpc-timeout", timeout);
    request
}
