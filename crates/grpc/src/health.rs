//! Readiness and liveness of the service by `grpc.health.v1`.
//!
//! Two names, because their consequences differ: a process that is not ready gets no calls, one that is not live is
//! restarted. The names of the API's own services follow readiness: clients with health checking watch those.
//!
//! Own code: tonic's implementation answers NOT_FOUND to a watch of an unknown service. The protocol asks for
//! SERVICE_UNKNOWN on a stream that stays open.

use futures::stream;
use tokio::sync::watch;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// Health of this process; clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    is_ready: watch::Sender<bool>,
    services: &'static [&'static str],
}

/// The empty name means the whole server (health protocol).
const WHOLE_SERVER: &str = "";

/// SERVING as long as the process serves at all, whatever it waits for: a restart repairs no database. Unlike a TCP
/// connection, which the kernel accepts for a hung process, an answer shows that the runtime works.
pub const LIVENESS: &str = "liveness";

impl Health {
    /// Not ready. `services` are the full names of the services of the API.
    pub fn starting(services: &'static [&'static str]) -> Self {
        Self {
            is_ready: watch::Sender::new(false),
            services,
        }
    }

    pub fn set_ready(&self, is_ready: bool) {
        self.is_ready.send_replace(is_ready);
    }

    /// The service `grpc.health.v1.Health`. The server ends its streams when it stops.
    pub(crate) fn service(&self) -> HealthServer<impl HealthService + use<>> {
        HealthServer::new(HealthRpc(self.clone()))
    }

    fn status(&self, name: &str, is_ready: bool) -> ServingStatus {
        match name {
            LIVENESS => ServingStatus::Serving,
            WHOLE_SERVER if is_ready => ServingStatus::Serving,
            WHOLE_SERVER => ServingStatus::NotServing,
            name if self.services.contains(&name) => self.status(WHOLE_SERVER, is_ready),
            _ => ServingStatus::ServiceUnknown,
        }
    }
}

struct HealthRpc(Health);

#[tonic::async_trait]
impl HealthService for HealthRpc {
    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let Self(health) = self;
        let is_ready = *health.is_ready.borrow();
        match health.status(&request.get_ref().service, is_ready) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("unknown service")),
            status => Ok(Response::new(response(status))),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let Self(health) = self;
        let watch = Watch {
            health: health.clone(),
            name: request.into_inner().service,
            is_ready: health.is_ready.subscribe(),
            last_sent: None,
        };
        Ok(Response::new(Box::pin(stream::unfold(watch, Watch::next))))
    }
}

/// One open stream: the current status, then each change.
struct Watch {
    health: Health,
    name: String,
    is_ready: watch::Receiver<bool>,
    last_sent: Option<ServingStatus>,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<HealthCheckResponse, Status>, Self)> {
        loop {
            let is_ready = *self.is_ready.borrow_and_update();
            let status = self.health.status(&self.name, is_ready);
            if self.last_sent.replace(status) != Some(status) {
                return Some((Ok(response(status)), self));
            }
            // Fails only if the sender is gone, and `health` has one.
            self.is_ready.changed().await.ok()?;
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    let status = status.into();
    HealthCheckResponse { status }
}
