//! A server from start to end, and its use in tests.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::net::TcpStream;

use postgres_server::{Server, shared};

#[test]
fn a_dropped_server_is_gone() {
    let server = Server::start().unwrap();
    let port = server.port();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());

    drop(server);

    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn copies_have_the_content_of_the_template_and_are_independent() {
    let server = shared();
    server.create_database("original").unwrap();

    let (one, other) = (
        server.copy_of("original").unwrap(),
        server.copy_of("original").unwrap(),
    );

    assert_ne!(one, other);
    assert!(one.ends_with("/original_0"), "{one}");
}

#[test]
fn clients_are_not_superusers() {
    let refused = shared().execute("ALTER SYSTEM SET fsync = on");

    let message = refused.unwrap_err().to_string();
    assert!(message.contains("permission denied"), "{message}");
}
