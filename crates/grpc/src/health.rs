//! Whether the service is ready for calls, and whether it lives, as `grpc.health.v1` tells it.
//!
//! Two names, because they have different consequences: who is not ready gets no calls, who does not live is restarted.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The readiness of this process; clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
}

/// The whole server, in the words of the health protocol.
const WHOLE_SERVER: &str = "";

/// What answers as long as the process serves at all, whatever it waits for: a restart repairs no database. Unlike a
/// connection, which the system takes for a process that hangs, an answer shows that the runtime is at work.
pub const LIVENESS: &str = "liveness";

impl Health {
    /// Not ready yet.
    pub async fn starting() -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
        };
        // The reporter begins as SERVING, before anything can be served.
        health.set_ready(false).await;
        let processes = ServingStatus::Serving;
        health
            .reporter
            .set_service_status(LIVENESS, processes)
            .await;
        health
    }

    /// Says from now on that the service is ready, or that it is not.
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
