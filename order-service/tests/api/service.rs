//! The service in this process, on a database of either kind, and a client connected to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use grpc::health::LIVENESS;
use order_service::app::App;
use order_service::config::Config;
use order_service::store::MIGRATIONS;
use outbox::{OutboxRow, Shard};
use proto::event::OrderEvent;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{Money, Order, OrderLine, PlaceOrderRequest};
use proto::record;
use service::command_line::ExitError;
use service::config::Configuration;
use sql::database::Database;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

/// Long enough for anything that works, short enough to see that something hangs.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// A running service with a database of its own.
pub(crate) struct Service {
    pub(crate) client: OrderServiceClient<Channel>,
    pub(crate) address: SocketAddr,
    pub(crate) directory: TempDir,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), ExitError>>,
}

impl Service {
    /// Starts on a free port.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts on this PostgreSQL database.
    pub(crate) async fn on(database_url: &str) -> Self {
        Self::start_with(&[("DATABASE_URL", database_url)]).await
    }

    /// Starts with these settings on top.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let app = build(directory.path(), settings).await.unwrap();
        let address = app.local_addr();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(app.run(shutdown.clone()));
        let client = OrderServiceClient::connect(format!("http://{address}"))
            .await
            .unwrap();
        Self {
            client,
            address,
            directory,
            shutdown,
            running,
        }
    }

    pub(crate) async fn place(&mut self, request: PlaceOrderRequest) -> Result<Order, Status> {
        let response = self.client.place_order(request).await?;
        Ok(response.into_inner().order.unwrap())
    }

    /// Whether the service says that it is ready.
    pub(crate) async fn is_ready(&self) -> bool {
        self.serves("").await
    }

    /// Whether the service says that it lives.
    pub(crate) async fn is_alive(&self) -> bool {
        self.serves(LIVENESS).await
    }

    async fn serves(&self, service: &str) -> bool {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let channel = Channel::from_shared(format!("http://{}", self.address));
        let channel = channel.unwrap().connect_lazy();
        let health = HealthClient::new(channel).check(request).await;
        health.unwrap().into_inner().status() == ServingStatus::Serving
    }

    /// Waits until the service says that it is ready.
    pub(crate) async fn ready(&self) {
        eventually(async || self.is_ready().await).await;
    }

    /// Why the service ended by itself.
    pub(crate) async fn failure(self) -> ExitError {
        let ended = timeout(WAIT_LIMIT, self.running).await.unwrap();
        ended.unwrap().unwrap_err()
    }

    /// Asks the service to stop.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Stops the service; returns its result and its directory.
    pub(crate) async fn stop(self) -> (Result<(), ExitError>, TempDir) {
        self.shutdown.cancel();
        drop(self.client);
        (self.running.await.unwrap(), self.directory)
    }
}

/// Waits until it is so.
pub(crate) async fn eventually(is_so: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WAIT_LIMIT, wait).await.unwrap();
}

/// The URL of a PostgreSQL database of its own, with the schema and no rows.
pub(crate) async fn postgres() -> String {
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    TEMPLATE.get_or_init(create_template).await;
    postgres_server::shared().copy_of("orders").unwrap()
}

async fn create_template() {
    let server = postgres_server::shared();
    server.create_database("orders").unwrap();
    migrate(&server.url("orders")).await;
}

/// Like the subcommand.
pub(crate) async fn migrate(url: &str) {
    let config = config(url, &[]).database;
    sql::database::migrate(&config, MIGRATIONS).await.unwrap();
}

/// The events that wait in a database for the broker.
pub(crate) async fn outbox(url: &str) -> Vec<OrderEvent> {
    let config = config(url, &[]).database;
    let database = Database::open(&config, MIGRATIONS).await.unwrap();
    let shards: Vec<Shard> = Shard::all().collect();
    let outbox = outbox::database::outbox(&database);
    let positions = outbox.positions(&shards, 0, 1_000).await.unwrap();
    let decode = |row: OutboxRow| {
        let received = record::decode(&row.record.headers, Some(&row.record.payload));
        received.unwrap().unwrap().event
    };
    let rows = outbox.read(&positions).await.unwrap();
    rows.into_iter().map(decode).collect()
}

/// The URL of the database in a directory.
pub(crate) fn sqlite(directory: &Path) -> String {
    format!("sqlite://{}", directory.join("orders.db").display())
}

/// The service with a database in this directory, unless the settings say otherwise.
pub(crate) async fn build(directory: &Path, settings: &[(&str, &str)]) -> Result<App, ExitError> {
    App::build(config(&sqlite(directory), settings)).await
}

/// Free ports; Kafka and processing-service at a closed port. Each order is checked by a call that begins after it.
fn config(database: &str, settings: &[(&str, &str)]) -> Config {
    let mut environment: BTreeMap<String, String> = [
        ("GRPC_LISTEN", "127.0.0.1:0"),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
        ("PROCESSING_ADDRESS", "http://127.0.0.1:1"),
        ("AVAILABILITY_MAX_AGE", "0ms"),
        ("DATABASE_URL", database),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in settings {
        environment.insert((*name).to_owned(), (*value).to_owned());
    }
    Config::from_source(&environment).unwrap()
}

/// A well-formed request under a request id of its own.
pub(crate) fn request(customer: &str) -> PlaceOrderRequest {
    PlaceOrderRequest {
        request_id: Uuid::new_v4().to_string(),
        customer_id: customer.to_owned(),
        lines: vec![OrderLine {
            sku: "85123A".to_owned(),
            quantity: 6,
            unit_price: Some(Money {
                currency_code: "GBP".to_owned(),
                minor_units: 255,
            }),
        }],
        payment_token: "tok_approved".to_owned(),
    }
}
