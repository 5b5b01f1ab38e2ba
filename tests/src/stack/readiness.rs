//! Readiness checks: of a service its gRPC health check, of a broker a metadata request, of a database its status file
//! and a connection.

use std::net::SocketAddr;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Process;
use super::database::StackPostgres;

/// Poll interval. A service starts in well under a second, and a user waits for it.
const PAUSE: Duration = Duration::from_millis(20);

/// Timeout of one check; an answer takes a millisecond, but the machine may be busy.
const QUESTION: Duration = Duration::from_secs(2);

/// Returns once the service reports SERVING; has no timeout.
pub(super) async fn service(address: SocketAddr) {
    while !is_serving(address).await {
        sleep(PAUSE).await;
    }
}

pub(super) async fn is_serving(address: SocketAddr) -> bool {
    let check = async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        let mut client = HealthClient::new(endpoint.connect().await.ok()?);
        let answer = client.check(HealthCheckRequest::default()).await.ok()?;
        Some(answer.into_inner().status() == ServingStatus::Serving)
    };
    matches!(timeout(QUESTION, check).await, Ok(Some(true)))
}

/// Returns once the broker answers; has no timeout.
pub(super) async fn broker(address: &str) {
    while !answers(address.to_owned()).await {
        sleep(PAUSE).await;
    }
}

async fn answers(address: String) -> bool {
    if !accepts_connections(&address).await {
        return false;
    }
    // librdkafka blocks the calling thread, and a new client has no backoff from earlier failures.
    let asked = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", address)
            .create()
            .ok()?;
        let metadata = client.fetch_metadata(None, QUESTION).ok()?;
        // Apache Kafka answers before its node has joined; topics cannot be created yet.
        (!metadata.brokers().is_empty()).then_some(())
    });
    matches!(asked.await, Ok(Some(())))
}

/// Returns once the server accepts connections; has no timeout.
pub(super) async fn database(postgres: &StackPostgres, process: Process) {
    let address = postgres.address(process).to_string();
    while !(postgres.says_ready(process) && accepts_connections(&address).await) {
        sleep(PAUSE).await;
    }
}

pub(super) async fn accepts_connections(address: impl ToSocketAddrs) -> bool {
    let connection = TcpStream::connect(address);
    matches!(timeout(QUESTION, connection).await, Ok(Ok(_)))
}
