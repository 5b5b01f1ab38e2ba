//! Whether the service is ready for calls, as `grpc.health.v1` tells it.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The readiness of this process; clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
}

/// The whole server, in the words of the health protocol.
const WHOLE_SERVER: &str = "";

impl Health {
    /// Not ready yet.
    pub async fn starting() -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
        };
        // The reporter begins as SERVING, before anything can be served.
        health.set_ready(false).await;
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
