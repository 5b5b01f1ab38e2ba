//! Pitfall: retrying without a budget.
//!
//! A retry helps against a fault that hits one call. When the other service is overloaded, every call fails, every caller
//! retries, and the load is multiplied by the attempts just when there is too much of it. The retries keep it down.
//!
//! The right way is a budget that all calls share: failures empty it, successes fill it, and below half there are no retries.
//! In this system: `retryThrottling` (gRFC A6) in `proto/orders/v1/service_config.json`, applied by
//! `crates/grpc/src/client/retry.rs`.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use grpc::client::{Address, Addresses, BreakerRules, Dependency, ServiceClient, ServiceConfig};
use grpc::tls::Connector;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use proto::inventory::v1::{CheckAvailabilityRequest, CheckAvailabilityResponse};
use service::backoff::Backoff;
use service::config::FromSetting as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

const CALLS: u32 = 100;

/// An overloaded service: refuses every call, and counts them.
#[derive(Clone, Default)]
struct Overloaded(Arc<AtomicU32>);

#[tonic::async_trait]
impl InventoryService for Overloaded {
    async fn check_availability(
        &self,
        _: Request<CheckAvailabilityRequest>,
    ) -> Result<Response<CheckAvailabilityResponse>, Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(Status::unavailable("overloaded"))
    }
}

impl Overloaded {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(InventoryServiceServer::new(self.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        address
    }
}

/// Up to three attempts per call; `budget` is the rest of the service config.
fn client(address: SocketAddr, budget: &str) -> InventoryServiceClient<ServiceClient> {
    let service_config = format!(
        r#"{{"methodConfig": [{{
            "name": [{{"service": "inventory.v1.InventoryService"}}],
            "retryPolicy": {{
                "maxAttempts": 3,
                "initialBackoff": "0.001s",
                "maxBackoff": "0.001s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"]
            }}
        }}]{budget}}}"#
    );
    let dependency = Dependency {
        name: "inventory",
        caller: "pitfalls",
        service_config: ServiceConfig::parse(&service_config).unwrap(),
        breaker: NEVER_OPENS,
    };
    let addresses = Addresses::from_setting(&format!("http://{address}")).unwrap();
    let plain = |_: &Address| Connector::plain();
    let (client, discovery) = ServiceClient::new(&addresses, dependency, plain);
    tokio::spawn(discovery.run(CancellationToken::new()));
    InventoryServiceClient::new(client)
}

/// The circuit breaker would also end the storm, later: this lesson is about the budget alone.
const NEVER_OPENS: BreakerRules = BreakerRules {
    least_calls: u32::MAX,
    failure_share: 1.0,
    slow_call: Duration::from_secs(60),
    slow_share: 1.0,
    open_for: Backoff {
        initial: Duration::from_secs(1),
        cap: Duration::from_secs(1),
    },
    probes: 1,
};

/// Makes the calls one after the other; returns how many attempts arrived.
async fn attempts_of_all_calls(budget: &str) -> u32 {
    let server = Overloaded::default();
    let mut client = client(server.start().await, budget);
    for _ in 0..CALLS {
        let call = client.check_availability(CheckAvailabilityRequest::default());
        assert!(call.await.is_err());
    }
    server.0.load(Ordering::Relaxed)
}

#[tokio::test]
async fn without_a_budget_an_overloaded_service_gets_three_times_the_load() {
    assert_eq!(attempts_of_all_calls("").await, 3 * CALLS);
}

#[tokio::test]
async fn with_a_budget_the_retries_stop_after_a_few_failures() {
    let budget = r#", "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}"#;

    let attempts = attempts_of_all_calls(budget).await;

    // Five failures empty the budget to half; until then a call may have two retries.
    assert!((CALLS + 1..=CALLS + 5).contains(&attempts), "{attempts}");
}
