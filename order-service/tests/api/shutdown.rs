//! Stopping: streams end with a status that says to resume, the service ends cleanly, and nothing is forgotten.

use proto::orders::v1::WatchOrderRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;

use super::service::{Service, WAIT_LIMIT, build, request};

#[tokio::test]
async fn an_open_stream_ends_unavailable_and_the_service_stops_cleanly() {
    let mut service = Service::start().await;
    let order_id = service.place(request("17850")).await.unwrap().order_id;
    let watch = WatchOrderRequest {
        order_id,
        after_version: 1,
    };
    let mut events = service
        .client
        .watch_order(watch)
        .await
        .unwrap()
        .into_inner();

    service.begin_stop();
    let status = timeout(WAIT_LIMIT, events.message())
        .await
        .unwrap()
        .unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    drop(events);
    let (ended, _directory) = timeout(WAIT_LIMIT, service.stop()).await.unwrap();
    ended.unwrap();
}

#[tokio::test]
async fn silent_connections_do_not_delay_the_shutdown() {
    let mut service = Service::start().await;
    let silent = TcpStream::connect(service.address).await.unwrap();
    let mut halting = TcpStream::connect(service.address).await.unwrap();
    halting.write_all(b"PRI * HT").await.unwrap();
    // Greets as HTTP/2 asks for, preface and empty settings, and then answers nothing, not even the GOAWAY.
    let mut mute = TcpStream::connect(service.address).await.unwrap();
    let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    mute.write_all(greeting).await.unwrap();
    service.place(request("17850")).await.unwrap();

    let (ended, _directory) = timeout(WAIT_LIMIT, service.stop()).await.unwrap();

    ended.unwrap();
    drop((silent, halting, mute));
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let service = Service::start().await;
    let mut silent = TcpStream::connect(service.address).await.unwrap();

    let mut answer = Vec::new();
    let closed = timeout(WAIT_LIMIT, silent.read_to_end(&mut answer)).await;

    assert!(closed.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn a_port_in_use_is_reported_and_its_owner_is_not_affected() {
    let mut service = Service::start().await;
    let listen = service.address.to_string();
    let elsewhere = tempfile::tempdir().unwrap();

    let refused = build(elsewhere.path(), &[("GRPC_LISTEN", &listen)])
        .await
        .unwrap_err();

    assert!(refused.to_string().contains(&listen), "{refused}");
    service.place(request("17850")).await.unwrap();
}
