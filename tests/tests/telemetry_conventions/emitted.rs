//! Telemetry of a server and a client on loopback.

use std::time::Duration;

use grpc::client::{Addresses, BreakerRules, Dependency, ServiceClient, ServiceConfig};
use grpc::health::Health;
use grpc::server::{ConnectionAge, GrpcConfig, GrpcServer};
use grpc::tls::Connector;
use http::Request;
use opentelemetry::Context;
use service::backoff::Backoff;
use service::config::FromSetting;
use telemetry::names::spans;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt as _;

use crate::recording::{self, CALLER};
use mock_kafka::eventually;

const SECOND: Duration = Duration::from_secs(1);

async fn server(stop: CancellationToken) -> u16 {
    let config = GrpcConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        call_limit: 30 * SECOND,
        concurrency: 10,
        has_reflection: false,
        connections: 10,
        connection_age: ConnectionAge::new(Duration::ZERO),
        tls: None,
    };
    let server = GrpcServer::bind(&config, "tests").await.unwrap();
    let port = server.local_addr().port();
    let health = Health::starting(&[]);
    tokio::spawn(async move {
        let descriptors = tonic_health::pb::FILE_DESCRIPTOR_SET;
        server
            .serve(Routes::default(), descriptors, &health, stop)
            .await
    });
    port
}

fn client(port: u16, stop: CancellationToken) -> ServiceClient {
    let address = format!("http://127.0.0.1:{port}");
    let addresses = Addresses::from_setting(&address).unwrap();
    let breaker = BreakerRules {
        least_calls: u32::MAX,
        failure_share: 1.0,
        slow_call: 60 * SECOND,
        slow_share: 1.0,
        open_for: Backoff {
            initial: SECOND,
            cap: SECOND,
        },
        probes: 1,
    };
    let dependency = Dependency {
        name: "dependency",
        caller: "caller",
        service_config: ServiceConfig::parse("{}").unwrap(),
        breaker,
    };
    let (client, discovery) = ServiceClient::new(&addresses, dependency, |_| Connector::plain());
    tokio::spawn(discovery.run(stop));
    client
}

/// A response and an error through the client; without it, as it supports only unary calls, a cancelled stream and an
/// unknown method.
async fn call_in_every_way(client: ServiceClient, port: u16) {
    let mut health = HealthClient::new(client);
    health.check(HealthCheckRequest::default()).await.unwrap();
    let service = "no.Service".to_owned();
    let unknown = HealthCheckRequest { service };
    health.check(unknown).await.unwrap_err();
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    let stream = health.watch(HealthCheckRequest::default()).await.unwrap();
    let first = stream.into_inner().message().await.unwrap();
    assert!(first.is_some());
    let request = Request::post("/no.Service/Method").header("content-type", "application/grpc");
    let request = request.body(Body::empty()).unwrap();
    channel.oneshot(request).await.unwrap();
}

#[tokio::test]
async fn the_telemetry_of_calls_conforms_to_the_names() {
    recording::start();
    let stop = CancellationToken::new();
    let port = server(stop.clone()).await;
    let client = client(port, stop.clone());
    client.observe();
    let caller = spans::RPC_SERVER.continuing(CALLER, &Context::new(), Vec::new());

    caller.carry(call_in_every_way(client, port)).await;

    // The server sees the end of a cancelled stream later than its client.
    let of_calls = || {
        let mut spans = recording::spans();
        spans.retain(|span| {
            span.attributes
                .iter()
                .any(|of| of.key.as_str() == "rpc.method")
        });
        spans.len()
    };
    eventually("a span of each call, and of its client", async || {
        of_calls() >= 6
    })
    .await;
    recording::assert_conforming(&["rpc.server.call.duration", "rpc.client.call.duration"]);
    stop.cancel();
}
