//! The service in this process, and a client connected to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use order_service::app::{App, BuildError, RunError};
use order_service::config::Config;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{Money, Order, OrderLine, PlaceOrderRequest};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

/// Long enough for anything that works, short enough to see that something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running service with a database of its own.
pub(crate) struct Service {
    pub(crate) client: OrderServiceClient<Channel>,
    pub(crate) address: SocketAddr,
    pub(crate) directory: TempDir,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), RunError>>,
}

impl Service {
    /// Starts on a free port.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
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

    /// Asks the service to stop.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Stops the service and returns how it ended and what it leaves behind.
    pub(crate) async fn stop(self) -> (Result<(), RunError>, TempDir) {
        self.shutdown.cancel();
        drop(self.client);
        (self.running.await.unwrap(), self.directory)
    }
}

/// The service with a database in this directory, and Kafka at a port where nobody listens.
pub(crate) async fn build(directory: &Path, settings: &[(&str, &str)]) -> Result<App, BuildError> {
    let database = format!("sqlite://{}", directory.join("orders.db").display());
    let mut environment: BTreeMap<String, String> = [
        ("GRPC_LISTEN", "127.0.0.1:0"),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
        ("DATABASE_URL", &database),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in settings {
        environment.insert((*name).to_owned(), (*value).to_owned());
    }
    App::build(Config::from_source(&environment).unwrap()).await
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
