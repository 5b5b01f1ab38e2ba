//! A client that sends exact bytes and has no timer, so that every result is the server's.

use std::net::SocketAddr;

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use proto::orders::v1::order_service_client::OrderServiceClient;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

/// The generated client on hyper's, which knows nothing of gRPC.
pub(crate) type BareClient = OrderServiceClient<Client<HttpConnector, Body>>;

/// A client of the service at this address.
pub(crate) fn client(address: SocketAddr) -> BareClient {
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let origin = format!("http://{address}").parse().unwrap();
    OrderServiceClient::with_origin(client, origin)
}

/// The request with this `grpc-timeout`.
pub(crate) fn with_timeout<T>(message: T, timeout: &str) -> Request<T> {
    let mut request = Request::new(message);
    let timeout: MetadataValue<_> = timeout.parse().unwrap();
    request.metadata_mut().insert("grpc-timeout", timeout);
    request
}

/// The reason in the ErrorInfo of a status.
pub(crate) fn reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    let details = status.get_error_details();
    details.error_info().unwrap().reason.clone()
}
