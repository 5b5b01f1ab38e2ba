//! The services with an Apache Kafka that requires TLS and SCRAM: orders are processed, and configuration mistakes are
//! reported.
//!
//! Skipped in a build without the cargo feature `kafka-tls` and on a machine without Apache Kafka, unless
//! `TEST_KAFKA_TLS` is `required`.

use std::env;

use anyhow::{Result, ensure};
use proto::orders::v1::OrderStatus;
use proto::topics;
use tests::stack::{has_apache_kafka, make_authority};
use tests::system::{Draft, Service, System, run_to_end};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_processed_over_tls_and_scram() -> Result<()> {
    if are_left_out().await? {
        return Ok(());
    }
    let system = System::start_secured(&[]).await?;

    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;

    let order = system.order(&order.order_id).await?;
    assert_eq!(order.status(), OrderStatus::Fulfilled);
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_logged_and_delays_no_confirmation() -> Result<()> {
    if are_left_out().await? {
        return Ok(());
    }
    let wrong = "not-the-password";

    let log = confirms_without_publishing("KAFKA_SASL_PASSWORD", wrong).await?;

    assert!(log.contains("kafka authentication failed"), "{log}");
    assert!(!log.contains(wrong), "the log has the password");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_an_untrusted_certificate_is_refused() -> Result<()> {
    if are_left_out().await? {
        return Ok(());
    }
    let elsewhere = tempfile::tempdir()?;
    let stranger = make_authority(elsewhere.path()).await?;

    let log = confirms_without_publishing("KAFKA_CA_FILE", &stranger.to_string_lossy()).await?;

    assert!(log.contains("TLS handshake with kafka failed"), "{log}");
    assert!(log.contains("certificate verify failed"), "{log}");
    Ok(())
}

/// Starts order-service with one wrong setting, places an order, and returns its log.
async fn confirms_without_publishing(setting: &str, wrong: &str) -> Result<String> {
    let system = System::start_secured(&[(Service::Orders, setting, wrong)]).await?;

    let order = system.place_order(&Draft::of("MUG", 1)).await?;

    assert_eq!(order.status(), OrderStatus::Accepted);
    for process in system.stack().processes(Service::Orders) {
        // Logged as an error, because waiting does not help.
        system.logs(process, "\"ERROR\"").await?;
    }
    let log = system.log(Service::Orders)?;
    let published = system.topic(topics::ORDER_EVENTS).records().await?;
    assert_eq!(published, []);
    assert_eq!(
        system.order(&order.order_id).await?.status(),
        OrderStatus::Accepted
    );
    // The order stays open, so the audit is not run.
    system.discard().await?;
    Ok(log)
}

/// Whether the prerequisites are missing; fails if they are required. Prints a line that cannot be mistaken for a
/// success.
async fn are_left_out() -> Result<bool> {
    let Some(why) = not_ready().await? else {
        return Ok(false);
    };
    let is_required = env::var("TEST_KAFKA_TLS").as_deref() == Ok("required");
    ensure!(!is_required, "{why}");
    eprintln!("LEFT OUT: {why}");
    Ok(true)
}

async fn not_ready() -> Result<Option<String>> {
    if !has_apache_kafka() {
        return Ok(Some(
            "Apache Kafka is missing: run `make apache-kafka`".to_owned(),
        ));
    }
    for service in Service::PAIR {
        if !is_built_with_tls(service).await? {
            let why = format!("{service} was built without the cargo feature kafka-tls");
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// The program never starts, because its listen address is invalid; the test checks its other error messages.
async fn is_built_with_tls(service: Service) -> Result<bool> {
    let wants_tls = [
        ("KAFKA_SECURITY_PROTOCOL", "ssl"),
        ("GRPC_LISTEN", "nowhere"),
    ];
    let output = run_to_end(service, &[], &wants_tls).await?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(message.contains("GRPC_LISTEN"), "{message}");
    Ok(!message.contains("kafka-tls"))
}
