//! Client for unary calls to another service: deadline, retries, circuit breaker, discovery.
//!
//! ```text
//!   generated client ─▶ ServiceClient
//!                         circuit_breaker  rejects at once while the dependency fails or is slow
//!                         call, retry      attempts within the deadline, by the service config (gRFC A6)
//!                         endpoints, pool  one connection per replica, round robin, outlier ejection
//!                         discovery        resolves the names periodically
//! ```
//!
//! Guarantees: no call takes longer than its deadline, the earliest of the caller's, the method's and [`CALL_LIMIT`];
//! every failure is a gRPC status; only what the service config allows is retried. Only unary calls: request and
//! response are held in memory, so that a call can be retried and its deadline covers the whole response.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::StdError;
use tower::Service;

use crate::grpc_timeout::{GRPC_TIMEOUT, parse_timeout};
use crate::status::CallRejection;
use service::deadline::Deadline;
use telemetry::propagation;

mod address;
mod call;
mod circuit_breaker;
mod discovery;
mod endpoints;
mod instrumentation;
mod message;
mod metrics;
mod pool;
mod retry;
mod service_config;

pub use address::{Address, Addresses};
use call::OutgoingCall;
pub use circuit_breaker::BreakerRules;
use circuit_breaker::CircuitBreaker;
pub use discovery::{Discovery, Resolve};
use endpoints::{Endpoints, endpoint};
use instrumentation::ClientTelemetry;
use pool::Peer;
use retry::RetryBudget;
pub use service_config::{ServiceConfig, ServiceConfigError};

/// Upper limit of every call, with or without a deadline: the call limit of the server.
pub const CALL_LIMIT: Duration = Duration::from_secs(15);

/// A service that this one calls.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// Name in logs and metrics.
    pub name: &'static str,
    /// Name of this service: domain of the errors that the client makes.
    pub caller: &'static str,
    pub service_config: ServiceConfig,
    pub breaker: BreakerRules,
}

/// Calls another service; clones share everything. Generated clients accept it in place of a channel.
#[derive(Clone)]
pub struct ServiceClient {
    shared: Arc<ClientShared>,
}

struct ClientShared {
    dependency: Dependency,
    budget: RetryBudget,
    breaker: Arc<CircuitBreaker>,
    endpoints: Arc<Endpoints>,
    telemetry: ClientTelemetry,
}

impl fmt::Debug for ServiceClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServiceClient")
            .field("name", &self.shared.dependency.name)
            .finish_non_exhaustive()
    }
}

impl ServiceClient {
    /// A client, and the discovery that must run for it. Connects lazily.
    ///
    /// `connect` makes the connector for an address, such as a [`Connector`](crate::tls::Connector): a service from a URI,
    /// whose host is an IP address, to a connection.
    pub fn new<C, I>(
        addresses: &Addresses,
        dependency: Dependency,
        connect: impl Fn(&Address) -> C + Send + Sync + 'static,
    ) -> (Self, Discovery)
    where
        C: Service<Uri, Response = TokioIo<I>> + Send + 'static,
        C::Future: Send,
        StdError: From<C::Error>,
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let open =
            move |peer: &Peer| endpoint(peer).connect_with_connector_lazy(connect(&peer.address));
        let endpoints = Endpoints::new(dependency.name, Box::new(open));
        let discovery = Discovery::new(addresses, Arc::clone(&endpoints));
        let shared = ClientShared {
            budget: RetryBudget::new(dependency.service_config.throttling),
            breaker: Arc::new(CircuitBreaker::new(dependency.name, dependency.breaker)),
            endpoints,
            telemetry: ClientTelemetry::new(addresses),
            dependency,
        };
        let shared = Arc::new(shared);
        (Self { shared }, discovery)
    }
}

impl Service<Request<Body>> for ServiceClient {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        // The current span here is the caller's; where the future is polled it may be another one.
        let record = shared.telemetry.begin(&request);
        propagation::inject(record.span.context(), request.headers_mut());
        Box::pin(async move {
            let (response, code) = shared.call(request).await;
            record.ended(code);
            Ok(response)
        })
    }
}

impl ClientShared {
    async fn call(&self, request: Request<Body>) -> (Response<Body>, Code) {
        let policy = self.dependency.service_config.policy(request.uri().path());
        let deadline = deadline(&request, policy.timeout);
        if deadline.has_passed() {
            return self.reject(CallRejection::DeadlineExceeded);
        }
        let (head, body) = request.into_parts();
        let message = match deadline.bound(message::whole_request(body)).await {
            Ok(Ok(message)) => message,
            Ok(Err(status)) => return (status.clone().into_http(), status.code()),
            Err(_) => return self.reject(CallRejection::DeadlineExceeded),
        };
        let Some(permit) = self.breaker.try_acquire() else {
            return self.reject(CallRejection::DependencyUnavailable);
        };
        let call = OutgoingCall {
            endpoints: &self.endpoints,
            budget: &self.budget,
            policy: &policy,
            caller: self.dependency.caller,
            deadline,
            head,
            message,
        };
        let (response, code) = call.make().await;
        permit.end(is_failure(code));
        (response, code)
    }

    fn reject(&self, rejection: CallRejection) -> (Response<Body>, Code) {
        let status = rejection.status(self.dependency.caller);
        (status.into_http(), rejection.code())
    }
}

/// The earliest of all deadlines.
fn deadline(request: &Request<Body>, policy: Option<Duration>) -> Deadline {
    let header = request.headers().get(GRPC_TIMEOUT);
    let of_header = header.and_then(|value| parse_timeout(value).ok());
    let of_caller = request.extensions().get::<Deadline>().copied();
    let limits = [Some(CALL_LIMIT), policy, of_header].into_iter().flatten();
    let own = limits.min().map_or(Deadline::NEVER, Deadline::within);
    own.earlier(of_caller.unwrap_or(Deadline::NEVER))
}

/// Whether the code counts as a failure for the breaker: unreachable, overloaded, late or broken. Every other status is
/// an answer of a working service.
fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unknown
            | Code::ResourceExhausted
    )
}
