//! What leaves the services as telemetry: both halves of an order over OTLP, and no payment token anywhere.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tests::system::{Draft, Service, System, eventually};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// Path and body of every request.
type Received = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// An OTLP/HTTP receiver that keeps what it gets.
struct Receiver {
    address: SocketAddr,
    received: Received,
}

impl Receiver {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let received = Received::default();
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(receive(connection, Arc::clone(&kept)));
            }
        });
        Ok(Self { address, received })
    }

    /// Whether a request to `path` held this text.
    async fn has(&self, path: &str, text: &str) -> bool {
        let received = self.received.lock().await;
        received
            .iter()
            .any(|(to, body)| to == path && contains(body, text))
    }
}

/// Answers every request on the connection with 200, after its body has arrived.
async fn receive(connection: TcpStream, kept: Received) -> Result<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let mut request = String::new();
        connection.read_line(&mut request).await?;
        let path = request.split(' ').nth(1).context("no path")?.to_owned();
        let mut body = vec![0; content_length(&mut connection).await?];
        connection.read_exact(&mut body).await?;
        kept.lock().await.push((path, body));
        connection
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await?;
    }
}

async fn content_length(connection: &mut BufReader<TcpStream>) -> Result<usize> {
    let mut length = 0;
    loop {
        let mut header = String::new();
        connection.read_line(&mut header).await?;
        match header.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse()?,
            Some(_) => {}
            None => return Ok(length),
        }
    }
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_halves_of_an_order_are_exported_and_no_payment_token_is() -> Result<()> {
    const TOKEN: &str = "tok_planted_5f1c6e0a";
    let receiver = Receiver::start().await?;
    let endpoint = format!("http://{}", receiver.address);
    let variable = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let everything = ("LOG_FILTER", "debug");
    let system = System::start_with(&[
        (Service::Orders, variable, &endpoint),
        (Service::Orders, everything.0, everything.1),
        (Service::Processing, variable, &endpoint),
        (Service::Processing, everything.0, everything.1),
    ])
    .await?;

    let order = system
        .place_order(&Draft::of("MUG", 1).paid_with(TOKEN))
        .await?;
    system.watch_until_final(&order.order_id).await?;

    let spans = [
        "/orders.v1.OrderService/PlaceOrder",
        "process orders.order.events.v1",
        "process processing.order.events.v1",
    ];
    for span in spans {
        eventually(&format!("the span {span} is exported"), async || {
            Ok(receiver.has("/v1/traces", span).await.then_some(()))
        })
        .await?;
    }
    eventually("the logs are exported", async || {
        Ok(receiver
            .has("/v1/logs", "partitions assigned")
            .await
            .then_some(()))
    })
    .await?;
    let logs = system.log(Service::Orders)? + &system.log(Service::Processing)?;
    assert!(logs.contains(&order.order_id), "debug logs name the order");
    assert!(!logs.contains(TOKEN), "a log line has the payment token");
    assert!(
        !receiver.has("/v1/traces", TOKEN).await,
        "a span has the payment token"
    );
    assert!(
        !receiver.has("/v1/logs", TOKEN).await,
        "an exported log has the payment token"
    );
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_of_the_database_pools_are_measured() -> Result<()> {
    let receiver = Receiver::start().await?;
    let endpoint = format!("http://{}", receiver.address);
    let endpoint_of = |service| (service, "OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str());
    // Milliseconds; a minute otherwise.
    let often = |service| (service, "OTEL_METRIC_EXPORT_INTERVAL", "100");
    let settings = [
        endpoint_of(Service::Orders),
        often(Service::Orders),
        endpoint_of(Service::Processing),
        often(Service::Processing),
    ];
    let Some(system) = System::start_on_production(&settings).await? else {
        return Ok(());
    };

    for text in [
        "order-service",
        "processing-service",
        "db.client.connection.max",
        "db.client.connection.count",
        "db.client.connection.state",
    ] {
        eventually(&format!("{text} is exported"), async || {
            Ok(receiver.has("/v1/metrics", text).await.then_some(()))
        })
        .await?;
    }
    system.finish().await
}
