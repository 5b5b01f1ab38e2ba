//! A payment service that writes an event with its state in one transaction; the relay publishes the event.
//!
//! Runs without servers, on SQLite in a temporary directory and librdkafka's mock broker:
//! `cargo run -p outbox --example write_with_state`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use kafka::KafkaConfig;
use outbox::relay::Relay;
use outbox::{HandOver, OutboxRecord, database, sqlite};
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::mocking::MockCluster;
use service::config::FromSetting;
use sql::database::Database;
use sql::sqlite::Sqlite;
use sql::url::DatabaseUrl;
use tokio_util::sync::CancellationToken;

/// Longer than publishing one event takes on a loaded machine.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("published {}", capture_payment().await?);
    Ok(())
}

async fn capture_payment() -> Result<String, Box<dyn Error>> {
    let broker = MockCluster::new(1)?;
    broker.create_topic("payments", 1, 1)?;
    let kafka = KafkaConfig::plaintext(broker.bootstrap_servers());
    let directory = tempfile::tempdir()?;
    let url = format!("sqlite://{}/payments.db", directory.path().display());
    let url = DatabaseUrl::from_setting(&url)?;
    let file = Arc::new(Sqlite::open(&url, &[database::MIGRATIONS]).await?);

    // One relay per process publishes the events of all its transactions.
    let database = Database::Sqlite(Arc::clone(&file));
    let (outbox, leases) = (database::outbox(&database), database::leases(&database));
    let (hand_over, shutdown) = (HandOver::default(), CancellationToken::new());
    let relay = Relay::new(&kafka, outbox, leases, hand_over.clone());
    let relay = tokio::spawn(relay.run(shutdown.clone()));

    // The state and its event are committed together, or neither is.
    let mut transaction = file.begin().await?;
    for statement in [
        "CREATE TABLE payments (id TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT",
        "INSERT INTO payments VALUES ('payment-1', 995)",
    ] {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    let captured = OutboxRecord {
        topic: "payments".into(),
        key: "payment-1".to_owned(),
        headers: vec![(b"ce_type".to_vec(), Some(b"payment.captured".to_vec()))],
        payload: b"995".to_vec(),
    };
    let inserted = sqlite::insert(&mut transaction, &[Arc::new(captured)]).await?;
    transaction.commit().await?;
    hand_over.committed(inserted);

    let reader: StreamConsumer = kafka.consumer("readers").create()?;
    reader.subscribe(&["payments"])?;
    let event = tokio::time::timeout(WAIT_LIMIT, reader.recv()).await??;
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let published = format!("{}: {}", text(event.key()), text(event.payload()));
    shutdown.cancel();
    relay.await?;
    Ok(published)
}

#[tokio::test]
async fn an_event_written_with_its_state_is_published() {
    assert_eq!(capture_payment().await.unwrap(), "payment-1: 995");
}
