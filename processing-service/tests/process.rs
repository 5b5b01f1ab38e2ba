//! The service as a process and as an `App`: exit codes, messages, start and stop without a broker.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use processing_service::app::App;
use processing_service::config::Config;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::{CheckAvailabilityRequest, CheckAvailabilityResponse, Item, ItemStatus};
use proto::processing::v1::processing_service_client::ProcessingServiceClient;
use proto::processing::v1::{ProcessOrderRequest, ProcessOrderResponse};
use service::command_line::ExitError;
use service::config::Configuration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// Runs the process until it exits, with only these settings in its environment.
fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_processing-service"))
        .args(arguments)
        .env_clear()
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn write_catalogue(directory: &Path, text: &str) -> String {
    let path = directory.join("catalogue.csv");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A valid configuration on this database, with an unreachable broker.
fn config_on(database: &str, directory: &TempDir, listen: &str) -> Config {
    let catalogue = write_catalogue(directory.path(), "sku,name,opening_stock\nA,HOLDER,1\n");
    let settings = [
        ("GRPC_LISTEN", listen),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
        ("CATALOGUE_FILE", &catalogue),
        ("DATABASE_URL", database),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Config::from_source(&BTreeMap::from(settings)).unwrap()
}

/// [`config_on`] a SQLite file.
fn config(directory: &TempDir, listen: &str) -> Config {
    let database = format!("sqlite://{}/processing.db", directory.path().display());
    config_on(&database, directory, listen)
}

/// The service, running in the test process.
struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ExitError>>,
    _directory: TempDir,
}

impl Running {
    async fn on(database: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::start(&config_on(database, &directory, "127.0.0.1:0"), directory).await
    }

    async fn start(config: &Config, directory: TempDir) -> Self {
        let app = App::build(config.clone()).await.unwrap();
        let shutdown = CancellationToken::new();
        Self {
            address: app.local_addr(),
            task: tokio::spawn(app.run(shutdown.clone())),
            shutdown,
            _directory: directory,
        }
    }

    /// A stream of its health status changes.
    async fn health(&self) -> tonic::Streaming<HealthCheckResponse> {
        self.health_of("").await
    }

    async fn health_of(&self, service: &str) -> tonic::Streaming<HealthCheckResponse> {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        let mut client = HealthClient::new(channel.connect().await.unwrap());
        let service = service.to_owned();
        let watch = client.watch(HealthCheckRequest { service }).await;
        watch.unwrap().into_inner()
    }

    /// Availability of one piece of "A", over gRPC.
    async fn check(&self) -> Result<CheckAvailabilityResponse, Status> {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        let mut client = InventoryServiceClient::new(channel.connect().await.unwrap());
        let item = Item {
            sku: "A".to_owned(),
            quantity: 1,
        };
        let request = CheckAvailabilityRequest { items: vec![item] };
        let response = client.check_availability(request).await?;
        Ok(response.into_inner())
    }

    /// An empty order, over gRPC.
    async fn process_nothing(&self) -> Result<ProcessOrderResponse, Status> {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        let mut client = ProcessingServiceClient::new(channel.connect().await.unwrap());
        let response = client.process_order(ProcessOrderRequest::default()).await?;
        Ok(response.into_inner())
    }

    async fn stop(self) -> Result<(), ExitError> {
        self.shutdown.cancel();
        let stopped = tokio::time::timeout(Duration::from_secs(15), self.task).await;
        stopped.unwrap().unwrap()
    }
}

async fn next(health: &mut tonic::Streaming<HealthCheckResponse>) -> ServingStatus {
    let next = tokio::time::timeout(Duration::from_secs(30), health.message()).await;
    next.unwrap().unwrap().unwrap().status()
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
    assert!(stdout(&help).contains("CATALOGUE_FILE"));
    assert!(stdout(&version).starts_with("processing-service "));
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

/// Each was ignored, accepted although nothing was durable, or failed without the name of its variable.
#[test]
fn a_setting_that_cannot_be_honoured_is_named_and_exits_78() {
    let settings = [
        ("DATABASE_URL", "sqlite://:memory:"),
        ("PGPASSWORD", "planted_7b1d90c4\n"),
        ("KAFKA_BROKERS", ","),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://127.0.0.1:4318\n",
        ),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "planted_7b1d90c4"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_PROPAGATORS", "b3"),
        ("LOG_FILTER", "warning"),
        ("SHUTDOWN_GRACE", "18446744073709551615ms"),
        ("DATABASE_POOL", "4294967295"),
    ];

    let output = run(&[], &settings);

    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
    for (name, _) in settings {
        let line = format!("  {name}: ");
        assert!(
            stderr(&output).contains(&line),
            "{name}: {}",
            stderr(&output)
        );
    }
    assert!(!stderr(&output).contains("planted"), "{}", stderr(&output));
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
async fn a_port_in_use_is_reported_and_no_database_is_created() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();

    let refused = App::build(config(&directory, &listen)).await;

    let refused = refused.err().unwrap();
    assert!(refused.to_string().contains(&listen), "{refused}");
    assert!(!directory.path().join("processing.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_becomes_ready_answers_and_stops_cleanly_without_a_broker() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory, "127.0.0.1:0");
    let running = Running::start(&config, directory).await;

    let mut health = running.health().await;
    while next(&mut health).await != ServingStatus::Serving {}

    let response = running.check().await.unwrap();
    assert_eq!(response.items[0].status(), ItemStatus::Available);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn process_order_is_served_only_if_it_is_turned_on() {
    let mut codes = Vec::new();
    for process_order in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(&directory, "127.0.0.1:0");
        assert!(!config.process_order, "on by default");
        config.process_order = process_order;
        let running = Running::start(&config, directory).await;
        let mut health = running.health().await;
        while next(&mut health).await != ServingStatus::Serving {}

        codes.push(running.process_nothing().await.unwrap_err().code());
        running.stop().await.unwrap();
    }

    assert_eq!(codes, [Code::Unimplemented, Code::InvalidArgument]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_the_services_own_name_follows_readiness_and_ends_with_the_stop() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(&directory, "127.0.0.1:0");
    let running = Running::start(&config, directory).await;
    let mut health = running.health_of("inventory.v1.InventoryService").await;
    while next(&mut health).await != ServingStatus::Serving {}

    running.stop().await.unwrap();

    assert_eq!(next(&mut health).await, ServingStatus::NotServing);
    let end = health.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "{end}");
}

/// With pipes for stdout and stderr whose reader hangs.
#[tokio::test(flavor = "multi_thread")]
async fn output_that_is_not_read_blocks_neither_calls_nor_the_stop() {
    let directory = tempfile::tempdir().unwrap();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let mut process = tokio::process::Command::new(env!("CARGO_BIN_EXE_processing-service"))
        .env_clear()
        .env("GRPC_LISTEN", address.to_string())
        .env(
            "DATABASE_URL",
            format!("sqlite://{}/a.db", directory.path().display()),
        )
        .env(
            "CATALOGUE_FILE",
            write_catalogue(directory.path(), "sku,name,opening_stock\n"),
        )
        .env("KAFKA_BROKERS", "127.0.0.1:1")
        .env("LOG_FILTER", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let mut client = HealthClient::new(channel.connect_lazy());
    let serving = async {
        let is_serving = |health: &HealthCheckResponse| health.status() == ServingStatus::Serving;
        while !client
            .check(HealthCheckRequest::default())
            .await
            .is_ok_and(|health| is_serving(health.get_ref()))
        {}
    };
    let serving = tokio::time::timeout(Duration::from_secs(60), serving).await;
    serving.expect("the process does not serve");

    // Each writes some KiB of log lines: far more than a pipe holds.
    for _ in 0..500 {
        let checked = client.check(HealthCheckRequest::default());
        let checked = tokio::time::timeout(Duration::from_secs(30), checked).await;
        checked.expect("a call hangs").unwrap();
    }
    let pid = process.id().unwrap().to_string();
    Command::new("kill").arg(pid).status().unwrap();

    let ended = tokio::time::timeout(Duration::from_secs(30), process.wait()).await;
    let ended = ended.expect("the stop hangs").unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_the_process_stays_up_and_not_ready() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let running = Running::on(&postgres_server::url(port, "orders")).await;

    let mut health = running.health().await;

    assert_eq!(next(&mut health).await, ServingStatus::NotServing);
    // STARTING is not the same answer as an unknown SKU.
    let status = running.check().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_waits_until_its_database_is_migrated() {
    let server = postgres_server::shared();
    server.create_database("fresh").unwrap();
    let url = server.url("fresh");
    let running = Running::on(&url).await;
    let mut health = running.health().await;
    assert_eq!(next(&mut health).await, ServingStatus::NotServing);

    let migrated = run(&["migrate"], &[("DATABASE_URL", &url)]);

    assert!(migrated.status.success(), "{}", stderr(&migrated));
    assert!(stdout(&migrated).contains("from version 0"));
    assert_eq!(next(&mut health).await, ServingStatus::Serving);
    running.stop().await.unwrap();
    let seeded = sqlx::PgPool::connect(&url).await.unwrap();
    let skus: Vec<String> = sqlx::query_scalar("SELECT sku FROM stock")
        .fetch_all(&seeded)
        .await
        .unwrap();
    assert_eq!(skus, ["A"]);
}

#[test]
fn migrating_again_changes_nothing() {
    let server = postgres_server::shared();
    server.create_database("again").unwrap();
    let url = server.url("again");

    let first = run(&["migrate"], &[("DATABASE_URL", &url)]);
    let second = run(&["migrate"], &[("DATABASE_URL", &url)]);

    assert!(first.status.success(), "{}", stderr(&first));
    assert!(second.status.success(), "{}", stderr(&second));
    assert!(stdout(&second).contains("already"), "{}", stdout(&second));
}

#[test]
fn a_login_that_is_refused_and_a_database_that_is_not_there_exit_78_and_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = write_catalogue(directory.path(), "sku,name,opening_stock\n");
    let server = postgres_server::shared();
    let missing = server.url("nowhere");
    let refused = format!("postgres://stranger@127.0.0.1:{}/nowhere", server.port());
    for (url, advice) in [(&refused, "password"), (&missing, "does not exist")] {
        let settings = [
            ("DATABASE_URL", url.as_str()),
            ("CATALOGUE_FILE", &catalogue),
            ("GRPC_LISTEN", "127.0.0.1:0"),
            ("KAFKA_BROKERS", "127.0.0.1:1"),
        ];
        for command in [&["migrate"][..], &[]] {
            let output = run(command, &settings);

            let message = stderr(&output);
            assert_eq!(output.status.code(), Some(78), "{message}");
            assert!(message.contains(advice), "{message}");
        }
    }
}
