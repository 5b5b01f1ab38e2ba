//! Health by the protocol `grpc.health.v1`, and streams at the stop of the server.

use std::time::{Duration, Instant};

use futures::stream;
use grpc::health::LIVENESS;
use grpc::tls::Connector;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_types::StatusExt as _;

use crate::server::running_server::{OWN_SERVICE, RunningServer, ServerOptions};

/// The server cuts off what is open this long after the stop began.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

async fn next(answers: &mut Streaming<HealthCheckResponse>) -> ServingStatus {
    answers.message().await.unwrap().unwrap().status()
}

fn assert_shutting_down(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str());
    assert_eq!(reason, Some("SHUTTING_DOWN"), "{status}");
}

#[tokio::test]
async fn a_health_watch_reports_not_serving_and_ends_when_the_stop_begins() {
    let server = RunningServer::start(ServerOptions::default()).await;
    server.become_ready();
    let mut client = server.connect(Connector::plain()).await.unwrap();
    let mut watches = Vec::new();
    for name in ["", OWN_SERVICE] {
        let mut answers = client.watch_service(name).await;
        assert_eq!(next(&mut answers).await, ServingStatus::Serving);
        watches.push(answers);
    }
    let began = Instant::now();
    let stopping = tokio::spawn(server.stop());

    for answers in &mut watches {
        assert_eq!(next(answers).await, ServingStatus::NotServing);
        assert_shutting_down(&answers.message().await.unwrap_err());
    }
    stopping.await.unwrap();

    assert!(began.elapsed() < DRAIN_TIMEOUT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_watch_of_an_unknown_service_reports_service_unknown_and_stays_open() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut client = server.connect(Connector::plain()).await.unwrap();

    let mut answers = client.watch_service("no.such.Service").await;

    assert_eq!(next(&mut answers).await, ServingStatus::ServiceUnknown);
    // A change of the readiness is no change for this stream: its next message is its end.
    server.become_ready();
    let stopping = tokio::spawn(server.stop());
    assert_shutting_down(&answers.message().await.unwrap_err());
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_check_of_an_unknown_service_is_not_found() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut client = server.connect(Connector::plain()).await.unwrap();

    let status = client.check_service("no.such.Service").await.unwrap_err();

    assert_eq!(status.code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn the_services_of_the_api_follow_readiness_and_liveness_does_not() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut client = server.connect(Connector::plain()).await.unwrap();
    let mut answers = client.watch_service(OWN_SERVICE).await;

    assert_eq!(next(&mut answers).await, ServingStatus::NotServing);
    assert_eq!(
        client.check_service(LIVENESS).await.unwrap(),
        ServingStatus::Serving
    );
    server.become_ready();

    assert_eq!(next(&mut answers).await, ServingStatus::Serving);
    assert_eq!(
        client.check_service(OWN_SERVICE).await.unwrap(),
        ServingStatus::Serving
    );
    server.stop().await;
}

#[tokio::test]
async fn open_reflection_streams_end_when_the_stop_begins() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let client = server.connect(Connector::plain()).await.unwrap();
    let mut reflection = ServerReflectionClient::new(client.channel());
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let held_open = futures::StreamExt::chain(stream::iter([question]), stream::pending());
    let answers = reflection.server_reflection_info(held_open).await;
    let mut answers = answers.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    let mut silent = ServerReflectionClient::new(client.channel());
    let silent = silent.server_reflection_info(stream::pending()).await;
    let mut silent = silent.unwrap().into_inner();
    let began = Instant::now();

    // Neither client closes its half of the stream before the server has stopped.
    server.stop().await;

    assert!(began.elapsed() < DRAIN_TIMEOUT, "{:?}", began.elapsed());
    // Either the end of its requests or the stop ends a stream first.
    for answers in [&mut answers, &mut silent] {
        let end = answers.message().await;
        assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    }
}
