//! Calls to another service that do not hang, do not pile up and find a replica that answers.
//!
//! ```text
//!   generated client ─▶ ServiceClient
//!                         breaker      refuses at once while the dependency is known to be unwell
//!                         call         attempts within the deadline, by the service config (gRFC A6)
//!                         endpoints    one connection per replica, round robin, ejection of those that fail
//!                         discovery    looks the names up again and again
//! ```
//!
//! Guarantees: no call takes longer than its deadline, which is the earliest of the caller's, the method's and
//! [`CALL_LIMIT`]; every failure is a gRPC status; nothing is repeated that the service config does not allow. Only unary
//! calls: request and answer are held in memory, which is what makes them repeatable and their deadline complete.

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
use crate::server::refusal::Refusal;
use service::config::Settings;
use service::deadline::Deadline;
use telemetry::propagation;

mod address;
mod breaker;
mod call;
mod discovery;
mod endpoints;
mod instrumentation;
mod message;
mod metrics;
mod pool;
mod retry;
mod service_config;

pub use address::{Address, Addresses};
use breaker::Breaker;
pub use breaker::BreakerRules;
use call::Call;
pub use discovery::{Discovery, Resolve};
use endpoints::Endpoints;
pub use endpoints::tcp;
use instrumentation::ClientTelemetry;
use retry::RetryBudget;
pub use service_config::{ServiceConfig, ServiceConfigError};

/// No call waits longer, whatever deadline it brings or forgets: as long as a server lets a call take.
pub const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Where another service is.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Its addresses.
    pub addresses: Addresses,
}

impl ClientConfig {
    /// Reads the setting of this name.
    pub fn read(
        settings: &mut Settings<'_>,
        name: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            addresses: settings.value(name, default, help),
        }
    }
}

/// The other service, as this one sees it.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// The name of this service, in whose name calls are refused.
    pub caller: &'static str,
    /// How its methods are called.
    pub service_config: ServiceConfig,
    /// When calling it is given up.
    pub breaker: BreakerRules,
}

/// Calls another service; clones share everything. A generated client takes it where it takes a channel.
#[derive(Clone)]
pub struct ServiceClient {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    caller: &'static str,
    service_config: ServiceConfig,
    budget: RetryBudget,
    breaker: Arc<Breaker>,
    endpoints: Endpoints,
    telemetry: ClientTelemetry,
}

impl fmt::Debug for ServiceClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServiceClient")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}

impl ServiceClient {
    /// A client, and the discovery that has to run for it. Nothing is connected yet.
    ///
    /// `connect` makes the connector for an address, [`tcp`] or one that speaks TLS: a service from a URI, whose host is an
    /// IP address, to a connection.
    pub fn new<C, I>(
        config: &ClientConfig,
        dependency: Dependency,
        connect: impl Fn(&Address) -> C + Send + Sync + 'static,
    ) -> (Self, Discovery)
    where
        C: Service<Uri, Response = TokioIo<I>> + Send + 'static,
        C::Future: Send,
        StdError: From<C::Error>,
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let endpoints = Endpoints::new(dependency.name, connect);
        let discovery = Discovery::new(&config.addresses, endpoints.clone());
        let shared = Shared {
            name: dependency.name,
            caller: dependency.caller,
            budget: RetryBudget::new(dependency.service_config.throttling()),
            service_config: dependency.service_config,
            breaker: Arc::new(Breaker::new(dependency.name, dependency.breaker)),
            endpoints,
            telemetry: ClientTelemetry::new(&config.addresses),
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
        // The span is the caller's here, and may be another one where the future is polled.
        let observed = shared.telemetry.begin(&request);
        propagation::inject(observed.context(), request.headers_mut());
        Box::pin(async move {
            let (response, code) = shared.call(request).await;
            observed.ended(code);
            Ok(response)
        })
    }
}

impl Shared {
    async fn call(&self, request: Request<Body>) -> (Response<Body>, Code) {
        let policy = self.service_config.policy(request.uri().path());
        let deadline = deadline(&request, policy.timeout);
        if deadline.has_passed() {
            return self.refuse(Refusal::DeadlineExceeded);
        }
        let (head, body) = request.into_parts();
        let message = match deadline.bound(message::whole_request(body)).await {
            Ok(Ok(message)) => message,
            Ok(Err(status)) => return (status.clone().into_http(), status.code()),
            Err(_) => return self.refuse(Refusal::DeadlineExceeded),
        };
        let Some(permit) = self.breaker.ask() else {
            return self.refuse(Refusal::DependencyUnavailable);
        };
        let call = Call {
            endpoints: &self.endpoints,
            budget: &self.budget,
            policy: &policy,
            caller: self.caller,
            deadline,
            head,
            message,
        };
        let (response, code) = call.make().await;
        permit.end(is_failure(code));
        (response, code)
    }

    fn refuse(&self, refusal: Refusal) -> (Response<Body>, Code) {
        (refusal.status(self.caller).into_http(), refusal.code())
    }
}

/// The earliest deadline that anybody has set.
fn deadline(request: &Request<Body>, policy: Option<Duration>) -> Deadline {
    let header = request.headers().get(GRPC_TIMEOUT);
    let of_header = header.and_then(|value| parse_timeout(value).ok());
    let of_caller = request.extensions().get::<Deadline>().copied();
    let limits = [Some(CALL_LIMIT), policy, of_header].into_iter().flatten();
    let own = limits.min().map_or(Deadline::NEVER, Deadline::within);
    own.earlier(of_caller.unwrap_or(Deadline::NEVER))
}

/// Whether the dependency has failed: it is away, overloaded, late or broken. Every other status is an answer.
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
