//! A service that tells a client what the server knows of its connection.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use grpc::server::ConnectionInfo;
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Service, ServiceExt as _};

/// The service; its answers are all in the message of the status.
#[derive(Clone)]
pub(crate) struct PeerService;

/// What the server knows of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PeerInfo(String);

impl PeerInfo {
    pub(crate) fn with_certificate() -> Self {
        Self::of("127.0.0.1", true)
    }

    pub(crate) fn without_certificate() -> Self {
        Self::of("127.0.0.1", false)
    }

    fn of(address: &str, has_certificate: bool) -> Self {
        Self(format!("{address}/{has_certificate}"))
    }

    pub(crate) async fn ask(channel: Channel) -> Self {
        let request = Request::post("http://some.test/test.Who/Ask")
            .header("content-type", "application/grpc")
            .body(Body::empty());
        let response = channel.oneshot(request.unwrap()).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        Self(status.message().to_owned())
    }
}

impl NamedService for PeerService {
    const NAME: &'static str = "test.Who";
}

impl Service<Request<Body>> for PeerService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let connection = request.extensions().get::<ConnectionInfo>().unwrap();
        let address = connection.remote_address().unwrap().ip().to_string();
        let PeerInfo(answer) = PeerInfo::of(&address, connection.has_certificate());
        // With details: an error that does not explain itself is replaced.
        let details = ErrorDetails::with_error_info("WHO", "tests", HashMap::new());
        let status = Status::with_error_details(Code::Unknown, answer, details);
        ready(Ok(status.into_http()))
    }
}
