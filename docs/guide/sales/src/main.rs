//! A read model beside the pair (CQRS): sales per product and day, built from the events of both topics with the crates of the
//! services, and served as JSON over HTTP. The services do not know that it exists.
//!
//! ```text
//! orders.order.events.v1 ─────┐ crates/consumer  ┌────────────────────────┐
//!                             ├────────────────▶ │ GENERATION.db (SQLite) │ ──▶ GET http://127.0.0.1:8090
//! processing.order.events.v1 ─┘   Projection     │ inbox, sales           │
//!                                                └────────────────────────┘
//! ```
//!
//! A process has one generation of the table: a file, and consumer groups with the name of the file. It listens when it has
//! applied all that the topics had at its start, so an incomplete table is never shown. To rebuild the table while it serves,
//! start a second process with another `SALES_GENERATION` and port. When that one answers, stop the first and delete its file.
//!
//! Deliberately not here: events older than the topics keep them (7 days), so a rebuild begins there; and several replicas, for
//! which the table would be on PostgreSQL. The inbox is not pruned: the file grows by a row for each order that was placed or
//! ended, until a rebuild. A generation is not used again after its file was deleted: its groups would continue where they ended.

mod end_offsets;
mod projection;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use consumer::{Consumer, ConsumerConfig, MIGRATIONS, RetryPolicy, TraceProcessing, retry_store};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use kafka::KafkaConfig;
use proto::topics::{ORDER_EVENTS, PROCESSING_EVENTS};
use service::ServiceIdentity;
use service::backoff::{Backoff, retry};
use service::command_line::ExitError;
use service::config::{Configuration, FromSetting as _, Settings};
use service::shutdown::{MIN_GRACE, run_until_signal};
use service::supervisor::{Stage, Supervisor};
use sql::database::{Database, OpenError};
use sql::migrations::{MigrationSet, Migrations};
use sql::{owner::Owner, sqlite::Sqlite, url::DatabaseUrl};
use sqlx::migrate::Migrator;
use telemetry::{Telemetry, TelemetryConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use end_offsets::EndOffsets;
use projection::Projection;

const SERVICE: ServiceIdentity = ServiceIdentity {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: env!("CARGO_PKG_DESCRIPTION"),
};
const TOPICS: [&str; 2] = [ORDER_EVENTS, PROCESSING_EVENTS];

/// Between two looks at the offsets.
const LOOK: Backoff = Backoff {
    initial: Duration::from_millis(500),
    cap: Duration::from_secs(5),
};

/// Connections at once, and the time for a request to arrive: idle connections use up neither descriptors nor places.
const MAX_CONNECTIONS: usize = 256;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// After a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

static SALES: Migrator = sqlx::migrate!("./migrations");
const TABLES: Migrations = &[
    MIGRATIONS,
    MigrationSet {
        owner: "sales",
        sqlite: &SALES,
        postgres: &SALES,
    },
];

struct Config {
    listen: SocketAddr,
    generation: String,
    kafka: KafkaConfig,
    retry_policy: RetryPolicy,
    telemetry: TelemetryConfig,
}

impl Configuration for Config {
    fn read(settings: &mut Settings<'_>) -> Self {
        let generation =
            "name of the table: of its file, without `.db`, and of its consumer groups";
        Self {
            listen: settings.value("SALES_LISTEN", "127.0.0.1:8090", "address of the query"),
            generation: settings.value("SALES_GENERATION", "sales-1", generation),
            kafka: KafkaConfig::read(settings, SERVICE.name, &TOPICS),
            retry_policy: RetryPolicy::read(settings),
            telemetry: TelemetryConfig::read(settings),
        }
    }
}

fn main() -> ExitCode {
    service::command_line::main(SERVICE, &Config::documentation(), start, Vec::new())
}

fn start() -> Result<(), ExitError> {
    let config = Config::from_environment()?;
    let telemetry = Telemetry::start(&config.telemetry, SERVICE)?;
    let served = run_until_signal(|stop| run(config, stop));
    telemetry.shutdown();
    served
}

async fn run(config: Config, stop: CancellationToken) -> Result<(), ExitError> {
    let url = DatabaseUrl::from_setting(&format!("sqlite://{}.db", config.generation));
    let url = url.map_err(|why| ExitError::configuration(format!("SALES_GENERATION: {why}")))?;
    let owner = Owner::new(SERVICE.name, config.kafka.prefix.as_str());
    let table = Sqlite::open_owned(&url, &owner, TABLES)
        .await
        .map_err(OpenError::from)?;
    let table = Arc::new(table);
    let mut tasks = Supervisor::default();
    for topic in TOPICS {
        let consumer = consumer(&config, topic, &table, &tasks);
        tasks.spawn(Stage::Intake, "consumer", |stop| consumer.run(stop));
    }
    let served = Arc::clone(&table);
    tasks.spawn(
        Stage::Intake,
        "server",
        async move |stop: CancellationToken| {
            let serving = stop.run_until_cancelled(serve(config, served)).await;
            serving.unwrap_or(Ok(()))
        },
    );
    tasks
        .run(async { Ok(()) }, stop, MIN_GRACE, async {}, table.close())
        .await
}

fn consumer(config: &Config, topic: &str, table: &Arc<Sqlite>, tasks: &Supervisor) -> Consumer {
    let database = Database::Sqlite(Arc::clone(table));
    let retry_store = retry_store::database::retry_store(&database, tasks.writers());
    let settings = ConsumerConfig {
        group: group(config, topic),
        topic: config.kafka.name(topic),
        dead_letter_topic: config.kafka.name(&format!("{topic}.dlq")),
        max_in_flight: 64,
        retry_policy: config.retry_policy,
        trace_processing: TraceProcessing::Link,
        service: SERVICE.name,
        version: SERVICE.version,
    };
    let handler = Arc::new(Projection(Arc::clone(table)));
    Consumer::new(&config.kafka, settings, handler, retry_store)
}

/// The members of a group read the same topics, so there is a group for each topic.
fn group(config: &Config, topic: &str) -> Arc<str> {
    config.kafka.name(&format!("{}.{topic}", config.generation))
}

/// Listens once the table has all that the topics had at the start.
async fn serve(config: Config, table: Arc<Sqlite>) -> Result<(), ExitError> {
    for topic in TOPICS {
        let (topic, group) = (config.kafka.name(topic), group(&config, topic));
        let ends = || EndOffsets::now(&config.kafka, Arc::clone(&topic));
        let ends = retry(LOOK, ends, |_, error| {
            tracing::warn!(%topic, %error, "end offsets not known");
        });
        let ends = ends.await;
        while !matches!(ends.are_committed_by(&config.kafka, &group).await, Ok(true)) {
            tokio::time::sleep(LOOK.initial).await;
        }
    }
    let listener = TcpListener::bind(config.listen).await?;
    tracing::info!(listen = %config.listen, generation = config.generation, "serving");
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = Arc::clone(&places)
            .acquire_owned()
            .await
            .map_err(ExitError::failed)?;
        let Ok((connection, _)) = listener.accept().await else {
            // The connection is gone, or file descriptors lack for a moment.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let answer = answer(connection, Arc::clone(&table));
        tokio::spawn(async move {
            answer.await;
            drop(place);
        });
    }
}

async fn answer(connection: TcpStream, table: Arc<Sqlite>) {
    let service = service_fn(move |_: Request<Incoming>| respond(Arc::clone(&table)));
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT);
    // A client that disconnects gets no answer.
    let _ = server
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

/// The answer to every request.
async fn respond(table: Arc<Sqlite>) -> hyper::http::Result<Response<Full<Bytes>>> {
    let response = Response::builder().header("content-type", "application/x-ndjson");
    match sales(&table).await {
        Ok(lines) => response.body(lines.into()),
        Err(_) => response.status(503).body(Full::default()),
    }
}

/// A line of JSON for each product and day.
async fn sales(table: &Sqlite) -> Result<String, sqlx::Error> {
    let lines = "SELECT json_object('day', day, 'sku', sku, 'quantity', quantity, 'currency', currency, \
         'minor_units', minor_units) || char(10) FROM sales ORDER BY day, sku, currency";
    let lines: Vec<String> = sqlx::query_scalar(lines).fetch_all(table.reader()).await?;
    Ok(lines.concat())
}
