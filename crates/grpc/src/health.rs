//! Readiness and liveness of the service by `grpc.health.v1`.
//!
//! Two names, because their consequences differ: a process that is not ready gets no calls, one that is not live is
//! restarted.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Health of this process; clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
}

/// The empty name means the whole server (health protocol).
const WHOLE_SERVER: &str = "";

/// SERVING as long as the process serves at all, whatever it waits for: a restart repairs no database. Unlike a TCP
/// connection, which the kernel accepts for a hung process, an answer shows that the runtime works.
pub const LIVENESS: &str = "liveness";

impl Health {
    /// Not ready.
    pub async fn starting() -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
        };
        // tonic's reporter begins as SERVING.
        health.set_ready(false).await;
        let processes = ServingStatus::Serving;
        health
            .reporter
            .set_service_status(LIVENESS, processes)
            .await;
        health
    }

    pub async fn set_ready(&self, ready: bool) {
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        self.reporter.set_service_status(WHOLE_SERVER, status).await;
    }

    pub(crate) fn reporter(&self) -> HealthReporter {
        self.reporter.clone()
    }
}
