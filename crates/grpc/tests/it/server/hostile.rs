//! Protocol violations and abuse within the protocol. The connection is closed or limited, and other clients are served
//! meanwhile.

use std::time::Duration;

use grpc::tls::Connector;
use http::{Request, StatusCode};
use tokio::time::timeout;
use tonic::body::Body;

use crate::frames::{
    CONTINUATION, DATA, EMPTY_MESSAGE, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS,
    NO_ERROR, PING, PREFACE, PUSH_PROMISE, RST_STREAM, RawConnection, SETTINGS, WINDOW_UPDATE,
    call_of, field, frame, health_check,
};
use crate::server::peer_service::PeerInfo;
use crate::server::running_server::{CONCURRENCY, RunningServer, ServerOptions};

/// Longer than any timeout of the server.
const SOON: Duration = Duration::from_secs(15);

/// A setting (RFC 9113, section 6.5.2): bytes of a response that may be sent without a window update.
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

#[tokio::test]
async fn a_connection_that_violates_the_protocol_gets_goaway_with_an_error() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let too_long = vec![0; 16 * 1024 + 1];
    let faults: [(&str, Vec<u8>); 9] = [
        ("a frame longer than allowed", frame(DATA, 0, 1, &too_long)),
        ("data of no stream", frame(DATA, 0, 0, &[0])),
        ("half a setting", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a ping of seven bytes", frame(PING, 0, 0, &[0; 7])),
        (
            "a window that grows by nothing",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        ),
        (
            "a stream with a server's number",
            frame(HEADERS, END_HEADERS | END_STREAM, 2, &health_check()),
        ),
        (
            "a reset of a stream that never was",
            frame(RST_STREAM, 0, 7, &[0; 4]),
        ),
        (
            "a promise, which only servers make",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
        ),
        (
            "header fields that cannot be decoded",
            frame(HEADERS, END_HEADERS, 1, &[0xff; 20]),
        ),
    ];

    for (fault, bytes) in faults {
        let mut connection = RawConnection::greet(server.address).await;
        connection.send(&bytes).await.unwrap();

        let goaway = timeout(SOON, connection.goaway()).await;

        // Which error code is up to the library.
        let reason = goaway
            .unwrap()
            .unwrap_or_else(|| panic!("no word: {fault}"));
        assert_ne!(reason, NO_ERROR, "{fault}");
        good.check().await.unwrap();
    }
    assert_eq!(good.connections(), 1);
}

#[tokio::test]
async fn a_frame_of_an_unknown_type_is_ignored() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut connection = RawConnection::greet(server.address).await;

    connection.send(&frame(200, 0, 0, b"what?")).await.unwrap();
    connection
        .send(&frame(PING, 0, 0, b"whatever"))
        .await
        .unwrap();

    let answered = timeout(SOON, connection.receive_one(PING)).await.unwrap();
    assert_eq!(answered.unwrap().payload, b"whatever");
}

#[tokio::test]
async fn a_client_with_another_protocol_is_disconnected() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let late_nonsense = [PREFACE, b"and now for something completely different"].concat();
    let openings: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nhost: some.test\r\n\r\n",
        b"\x00\x01nonsense\r\n\r\n and more of it, beyond the length of a preface",
        // The beginning of a TLS handshake.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more than a preface is long",
        &late_nonsense,
    ];

    for opening in openings {
        let mut connection = RawConnection::open(server.address).await;
        connection.send(opening).await.unwrap();

        let is_over = async { while connection.receive().await.is_some() {} };

        timeout(SOON, is_over)
            .await
            .expect("the connection is closed");
        good.check().await.unwrap();
    }
}

#[tokio::test]
async fn a_trickling_preface_times_out() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let mut connection = RawConnection::open(server.address).await;
    let trickle = async {
        for byte in &PREFACE[..PREFACE.len() - 1] {
            tokio::time::sleep(Duration::from_millis(400)).await;
            if connection.send(&[*byte]).await.is_err() {
                return;
            }
        }
        // The last byte never comes.
        std::future::pending().await
    };

    let hung_up_on = timeout(SOON, trickle).await;

    hung_up_on.expect("the connection is closed");
    good.check().await.unwrap();
}

#[tokio::test]
async fn too_many_header_fields_are_rejected_and_the_connection_stays_open() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let client = server.connect(Connector::plain()).await.unwrap();
    let large = "x".repeat(1_024);

    let mut request = call_to("/grpc.health.v1.Health/Check", Body::empty());
    for number in 0..20 {
        let name = http::HeaderName::try_from(format!("field-{number}")).unwrap();
        request.headers_mut().insert(name, large.parse().unwrap());
    }
    let answer = client.send(request).await.unwrap();

    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let small = client.send(call_to("/test.Who/Ask", Body::empty())).await;
    assert_eq!(small.unwrap().status(), StatusCode::OK);
    assert_eq!(client.connections(), 1);
    good.check().await.unwrap();
}

#[tokio::test]
async fn endless_header_fields_are_cut_off() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let mut connection = RawConnection::greet(server.address).await;
    connection
        .send(&frame(HEADERS, END_STREAM, 1, &health_check()))
        .await
        .unwrap();

    let flood = frame(CONTINUATION, 0, 1, &field("some-name", "some value"));
    for _ in 0..1_000 {
        if connection.send(&flood).await.is_err() {
            break;
        }
    }

    let goaway = timeout(SOON, connection.goaway()).await;
    assert_eq!(goaway, Ok(Some(ENHANCE_YOUR_CALM)));
    good.check().await.unwrap();
}

#[tokio::test]
async fn a_rapid_reset_flood_ends_the_connection() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let mut connection = RawConnection::greet(server.address).await;
    // All at once: the server must not accept a stream before it is reset.
    let open_and_reset = |stream| {
        [
            frame(HEADERS, END_HEADERS | END_STREAM, stream, &health_check()),
            frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
        ]
        .concat()
    };
    let flood: Vec<u8> = (0..10_000)
        .flat_map(|n| open_and_reset(2 * n + 1))
        .collect();

    // The server may close before it has read everything.
    let _ = connection.send(&flood).await;

    let goaway = timeout(SOON, connection.goaway()).await;
    assert!(
        matches!(goaway, Ok(Some(ENHANCE_YOUR_CALM) | None)),
        "{goaway:?}"
    );
    good.check().await.unwrap();
    assert_eq!(good.connections(), 1);
}

#[tokio::test]
async fn floods_of_pings_and_settings_are_answered_and_delay_no_other_client() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let ping = frame(PING, 0, 0, b"whatever");
    let setting = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);

    for flood in [ping, setting] {
        let kind = flood[3];
        let mut connection = RawConnection::greet(server.address).await;
        for _ in 0..200 {
            connection.send(&flood.repeat(50)).await.unwrap();
            good.check().await.unwrap();
            for _ in 0..50 {
                let answer = timeout(SOON, connection.receive_one(kind)).await;
                answer.unwrap().expect("it is answered");
            }
        }
    }
    assert_eq!(good.connections(), 1);
}

#[tokio::test]
async fn health_streams_that_are_never_opened_take_no_place_of_other_calls() {
    let server = RunningServer::start(ServerOptions::default()).await;
    let mut connection = RawConnection::greet(server.address).await;
    let watch = call_of("/grpc.health.v1.Health/Watch");
    for stream in (1..).step_by(2).take(2 * CONCURRENCY) {
        // Without the end of its request.
        let head = frame(HEADERS, END_HEADERS, stream, &watch);
        connection.send(&head).await.unwrap();
    }
    // Its answer says that the server has read what came before.
    let ping = frame(PING, 0, 0, &[7; 8]);
    connection.send(&ping).await.unwrap();
    connection.receive_one(PING).await.unwrap();

    let good = server.call_plain().await.unwrap();

    assert_eq!(good.peer_info().await, PeerInfo::without_certificate());
}

#[tokio::test]
async fn an_endless_request_ends_at_the_servers_call_limit() {
    let server = RunningServer::start(ServerOptions {
        call_limit: Duration::from_millis(300),
        ..ServerOptions::default()
    })
    .await;
    let mut good = server.call_plain().await.unwrap();
    let mut connection = RawConnection::greet(server.address).await;
    let head = frame(HEADERS, END_HEADERS, 1, &health_check());
    connection.send(&head).await.unwrap();

    // One byte at a time, of a message that never ends.
    let trickle = async {
        for byte in [0, 0, 0, 0xff, 0xff]
            .into_iter()
            .chain(std::iter::repeat(0))
        {
            connection.send(&frame(DATA, 0, 1, &[byte])).await.unwrap();
            tokio::select! {
                answer = connection.receive_one(HEADERS) => return answer,
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
        None
    };

    let answer = timeout(SOON, trickle).await.expect("the call ends");
    assert_eq!(answer.unwrap().stream, 1);
    good.check().await.unwrap();
}

/// The calls are already answered; the responses wait for window that the client does not grant.
#[tokio::test]
async fn a_client_that_reads_no_responses_delays_no_other_and_its_connection_ends_at_its_age() {
    let server = RunningServer::start(ServerOptions {
        age: Duration::from_secs(1),
        ..ServerOptions::default()
    })
    .await;
    let mut connection = RawConnection::open(server.address).await;
    let no_window = [&INITIAL_WINDOW_SIZE[..], &[0; 4]].concat();
    connection.send(PREFACE).await.unwrap();
    let settings = frame(SETTINGS, 0, 0, &no_window);
    connection.send(&settings).await.unwrap();

    for stream in (1..2_000).step_by(2) {
        let head = frame(HEADERS, END_HEADERS, stream, &health_check());
        let body = frame(DATA, END_STREAM, stream, EMPTY_MESSAGE);
        connection.send(&[head, body].concat()).await.unwrap();
    }

    server.call_plain().await.unwrap();
    // No data, then GOAWAY.
    let seen = async {
        loop {
            let frame = connection.receive().await.expect("a GOAWAY");
            assert_ne!(frame.kind, DATA);
            if frame.kind == GOAWAY {
                return;
            }
        }
    };
    timeout(SOON, seen).await.expect("it ends at its age");
}

fn call_to(path: &str, body: Body) -> Request<Body> {
    Request::post(format!("http://some.test{path}"))
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap()
}
