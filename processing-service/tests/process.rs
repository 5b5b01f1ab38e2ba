//! The service as a process and as an app: exit codes, messages, start and stop without a broker.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use processing_service::app::{App, BuildError};
use processing_service::config::Config;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Runs the process to its end, with these settings and nothing else.
fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_processing-service"))
        .args(arguments)
        .env_clear()
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn write_catalogue(directory: &Path, text: &str) -> String {
    let path = directory.join("catalogue.csv");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A valid configuration whose broker is not there.
fn config(directory: &TempDir, listen: &str) -> Config {
    let catalogue = write_catalogue(directory.path(), "sku,name,opening_stock\nA,HOLDER,1\n");
    let database = format!("sqlite://{}/processing.db", directory.path().display());
    let settings = [
        ("GRPC_LISTEN", listen),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
        ("CATALOGUE_FILE", &catalogue),
        ("DATABASE_URL", &database),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Config::from_source(&BTreeMap::from(settings)).unwrap()
}

#[test]
fn an_unknown_argument_is_a_usage_error() {
    let output = run(&["--fast"], &[]);

    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("--fast"));
}

#[test]
fn help_and_version_are_answers() {
    let help = run(&["--help"], &[]);
    let version = run(&["--version"], &[]);

    assert!(help.status.success() && version.status.success());
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("CATALOGUE_FILE")
    );
    assert!(
        String::from_utf8(version.stdout)
            .unwrap()
            .starts_with("processing-service ")
    );
}

#[test]
fn a_wrong_configuration_is_named_whole_and_exits_78() {
    let settings = [
        ("GRPC_LISTEN", "everywhere"),
        ("DATABASE_URL", "oracle://x"),
        ("PAYMENT_ATTEMPTS", "0"),
    ];

    let output = run(&[], &settings);

    assert_eq!(output.status.code(), Some(78));
    for (name, _) in settings {
        assert!(stderr(&output).contains(name), "{name}");
    }
}

#[test]
fn a_wrong_catalogue_is_named_with_its_lines_and_exits_78() {
    let directory = tempfile::tempdir().unwrap();
    let text = "sku,name,opening_stock\nA,HOLDER,-1\nB\n";
    let catalogue = write_catalogue(directory.path(), text);

    let output = run(&[], &[("CATALOGUE_FILE", &catalogue)]);

    assert_eq!(output.status.code(), Some(78));
    let message = stderr(&output);
    assert!(
        message.contains("line 2") && message.contains("line 3"),
        "{message}"
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_nothing_is_created() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();

    let refused = App::build(&config(&directory, &listen)).await;

    assert!(matches!(refused, Err(BuildError::Listen(_))));
    assert!(!directory.path().join("processing.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_serves_and_stops_cleanly_without_a_broker() {
    let directory = tempfile::tempdir().unwrap();
    let app = App::build(&config(&directory, "127.0.0.1:0"))
        .await
        .unwrap();
    let address = app.local_addr();
    let shutdown = CancellationToken::new();

    let running = tokio::spawn(app.run(shutdown.clone()));
    tokio::net::TcpStream::connect(address).await.unwrap();
    shutdown.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(15), running).await;

    stopped.unwrap().unwrap().unwrap();
}
