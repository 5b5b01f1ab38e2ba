//! Connections that break the protocol, or keep to it and mean harm. Each gets what it deserves, and the others are served
//! meanwhile.

use std::time::Duration;

use grpc::tls::Connector;
use http::{Request, StatusCode};
use tokio::time::timeout;
use tonic::body::Body;

use crate::frames::{
    CONTINUATION, Connection, DATA, EMPTY_MESSAGE, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
    GOAWAY, HEADERS, NO_ERROR, PING, PREFACE, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    field, frame, health_check,
};
use crate::server::{RunningServer, Terms};

/// Longer than the server bears with anybody, shorter than what hangs.
const SOON: Duration = Duration::from_secs(15);

/// A setting (RFC 9113, section 6.5.2): how much of an answer may be sent before the client asks for more.
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

#[tokio::test]
async fn a_connection_that_breaks_the_protocol_is_told_why_and_ended() {
    let server = RunningServer::start(Terms::default()).await;
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
        let mut connection = Connection::greet(server.address).await;
        connection.send(&bytes).await.unwrap();

        let goaway = timeout(SOON, connection.goaway()).await;

        // Which error it is said to be is the library's choice.
        let reason = goaway
            .unwrap()
            .unwrap_or_else(|| panic!("no word: {fault}"));
        assert_ne!(reason, NO_ERROR, "{fault}");
        good.check().await.unwrap();
    }
    assert_eq!(good.connections(), 1);
}

#[tokio::test]
async fn a_frame_of_a_type_that_nobody_knows_is_passed_over() {
    let server = RunningServer::start(Terms::default()).await;
    let mut connection = Connection::greet(server.address).await;

    connection.send(&frame(200, 0, 0, b"what?")).await.unwrap();
    connection
        .send(&frame(PING, 0, 0, b"whatever"))
        .await
        .unwrap();

    let answered = timeout(SOON, connection.receive_one(PING)).await.unwrap();
    assert_eq!(answered.unwrap().payload, b"whatever");
}

#[tokio::test]
async fn a_client_that_speaks_another_protocol_is_hung_up_on() {
    let server = RunningServer::start(Terms::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let late_nonsense = [PREFACE, b"and now for something completely different"].concat();
    let openings: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nhost: some.test\r\n\r\n",
        b"\x00\x01nonsense\r\n\r\n and more of it, beyond the length of a preface",
        // The beginning of a TLS handshake, as from a client that expects encryption.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more than a preface is long",
        &late_nonsense,
    ];

    for opening in openings {
        let mut connection = Connection::open(server.address).await;
        connection.send(opening).await.unwrap();

        let is_over = async { while connection.receive().await.is_some() {} };

        timeout(SOON, is_over).await.expect("it is hung up on");
        good.check().await.unwrap();
    }
}

#[tokio::test]
async fn a_preface_that_trickles_in_is_not_waited_for() {
    let server = RunningServer::start(Terms::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let mut connection = Connection::open(server.address).await;
    let trickle = async {
        for byte in &PREFACE[..PREFACE.len() - 1] {
            tokio::time::sleep(Duration::from_millis(400)).await;
            if connection.send(&[*byte]).await.is_err() {
                return;
            }
        }
        // Its last byte never comes.
        std::future::pending().await
    };

    let hung_up_on = timeout(SOON, trickle).await;

    hung_up_on.expect("it is hung up on");
    good.check().await.unwrap();
}

#[tokio::test]
async fn more_header_fields_than_allowed_are_refused_and_the_connection_goes_on() {
    let server = RunningServer::start(Terms::default()).await;
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
async fn header_fields_without_end_are_cut_off() {
    let server = RunningServer::start(Terms::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let mut connection = Connection::greet(server.address).await;
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
async fn streams_that_are_opened_and_reset_without_end_end_the_connection() {
    let server = RunningServer::start(Terms::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let mut connection = Connection::greet(server.address).await;
    // All at once: the server must not get to accept one before it is reset.
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

    // It may hang up before it has read everything.
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
async fn floods_of_pings_and_settings_are_answered_one_by_one_and_hold_up_nobody() {
    let server = RunningServer::start(Terms::default()).await;
    let mut good = server.call_plain().await.unwrap();
    let ping = frame(PING, 0, 0, b"whatever");
    let setting = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);

    for flood in [ping, setting] {
        let kind = flood[3];
        let mut connection = Connection::greet(server.address).await;
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
async fn a_request_that_never_ends_is_given_up_at_the_servers_limit() {
    let server = RunningServer::start(Terms {
        call_limit: Duration::from_millis(300),
        ..Terms::default()
    })
    .await;
    let mut good = server.call_plain().await.unwrap();
    let mut connection = Connection::greet(server.address).await;
    let head = frame(HEADERS, END_HEADERS, 1, &health_check());
    connection.send(&head).await.unwrap();

    // One byte at a time, of a message that has more of them than will ever come.
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

    let answer = timeout(SOON, trickle).await.expect("it is given up");
    assert_eq!(answer.unwrap().stream, 1);
    good.check().await.unwrap();
}

/// Nothing of a call is left to be given up: the answer is there, and waits for room that the client does not give.
#[tokio::test]
async fn a_client_that_takes_no_answers_holds_up_nobody_and_its_connection_ends_at_its_age() {
    let server = RunningServer::start(Terms {
        age: Duration::from_secs(1),
        ..Terms::default()
    })
    .await;
    let mut connection = Connection::open(server.address).await;
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
    // Not a byte of data comes, and then the farewell.
    let seen = async {
        loop {
            let frame = connection.receive().await.expect("a farewell");
            assert_ne!(frame.kind, DATA);
            if frame.kind == GOAWAY {
                return;
            }
        }
    };
    timeout(SOON, seen).await.expect("it ends at its age");
}

/// What a call to this path is on the wire.
fn call_to(path: &str, body: Body) -> Request<Body> {
    Request::post(format!("http://some.test{path}"))
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap()
}
