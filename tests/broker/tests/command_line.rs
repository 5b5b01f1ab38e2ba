//! The broker's command line: errors of an invalid start. Everything else is tested with the services.

#![allow(clippy::expect_used, reason = "a test may fail by panicking")]

use std::net::TcpListener;
use std::process::{Command, Output};

fn broker(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_embedded-broker");
    Command::new(program)
        .args(arguments)
        .output()
        .expect("the program runs")
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();

    let ended = broker(&["--listen", &address]);

    let message = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{message}");
    assert!(
        message.contains(&format!("cannot listen on {address}")),
        "{message}"
    );
}

#[test]
fn an_address_without_a_port_is_a_usage_error() {
    let ended = broker(&["--listen", "localhost"]);

    assert_eq!(ended.status.code(), Some(2));
}
