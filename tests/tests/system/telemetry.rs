//! The exported telemetry, and that the services do not depend on the receiver.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proto::orders::v1::OrderStatus;
use tests::otlp::{Manner, Receiver};
use tests::system::{Draft, Service, System, eventually};

/// Settings of both services for frequent exports.
pub(crate) fn exporting_to<'a>(
    endpoint: &'a str,
    further: &[(&'a str, &'a str)],
) -> Vec<(Service, &'a str, &'a str)> {
    let mut settings = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        // Milliseconds; the defaults are seconds to a minute.
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
    ];
    settings.extend(further);
    let of = |service| {
        settings
            .iter()
            .map(move |(name, value)| (service, *name, *value))
    };
    Service::PAIR.into_iter().flat_map(of).collect()
}

/// Maximum time of a stop: the grace period of the services, and five seconds for unexported telemetry.
const MAX_STOP: Duration = Duration::from_secs(20 + 5);

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_of_the_database_pools_are_measured() -> Result<()> {
    let receiver = Receiver::start_keeping_bodies().await?;
    let url = receiver.url();
    let Some(system) = System::start_on_production(&exporting_to(&url, &[])).await? else {
        return Ok(());
    };

    for service in Service::PAIR {
        for name in ["db.client.connection.max", "db.client.connection.count"] {
            eventually(&format!("{service} exports {name}"), async || {
                let metrics = receiver.metrics().context("all that was exported")?;
                let mut metrics = metrics.iter();
                let has_come =
                    metrics.any(|metric| metric.name == name && metric.service == service.name());
                Ok(has_come.then_some(()))
            })
            .await?;
        }
    }
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_changes_nothing() -> Result<()> {
    // The freed port is not reused at once, and nothing listens on it.
    let url = format!("http://{}", TcpListener::bind("127.0.0.1:0")?.local_addr()?);

    orders_end_and_services_stop_as_ever(&url, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_changes_nothing() -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Manner::Silent);

    orders_end_and_services_stop_as_ever(&receiver.url(), &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_changes_nothing_with_one_worker_thread() -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Manner::Silent);

    orders_end_and_services_stop_as_ever(&receiver.url(), &[ONE_WORKER]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_slow_changes_nothing() -> Result<()> {
    let receiver = Receiver::start().await?;
    receiver.behave(Manner::Slow(Duration::from_secs(2)));

    orders_end_and_services_stop_as_ever(&receiver.url(), &[]).await
}

/// The runtime of a service has one thread, as on a machine with one core.
const ONE_WORKER: (&str, &str) = ("TOKIO_WORKER_THREADS", "1");

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_before_a_stop_are_exported_even_with_one_worker_thread() -> Result<()> {
    for workers in [None, Some(ONE_WORKER)] {
        let receiver = Receiver::start().await?;
        let url = receiver.url();
        // An hour in milliseconds: only the stop exports.
        let mut settings = vec![("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
        settings.extend(workers);
        let system = System::start_with(&exporting_to(&url, &settings)).await?;
        let order = system.place_order(&Draft::of("MUG", 1)).await?;
        system.watch_until_final(&order.order_id).await?;

        for service in Service::PAIR {
            system.stop(service).await?;
            let spans = receiver.spans();
            let has_come = spans.iter().any(|span| span.service == service.name());
            ensure!(has_come, "{service} stopped without its last spans");
        }
        system.finish().await?;
    }
    Ok(())
}

/// The exporter's queue limits the memory of spans. The spans after an outage show how many were kept; unlike the
/// resident set of a process, this number has no noise.
#[tokio::test(flavor = "multi_thread")]
async fn the_queue_bounds_the_spans_kept_for_a_silent_receiver() -> Result<()> {
    const QUEUE: u64 = 64;
    const BATCH: u64 = 16;
    let receiver = Receiver::start().await?;
    receiver.behave(Manner::Silent);
    let url = receiver.url();
    let settings = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16"),
        // Milliseconds until the unanswered batch times out.
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000"),
    ];
    let system = System::start_one_of_each(&exporting_to(&url, &settings)).await?;
    // Far more than the queue: an order makes dozens of spans.
    for _ in 0..50 {
        let order = system.place_order(&Draft::of("LAMP", 1)).await?;
        system.watch_until_final(&order.order_id).await?;
    }

    // The first service to stop must not cause new spans in the other: both are idle after all orders.
    receiver.behave(Manner::Prompt);
    for service in Service::PAIR {
        system.stop(service).await?;
    }

    let received = receiver.spans();
    for service in Service::PAIR {
        let of_service = received
            .iter()
            .filter(|span| span.service == service.name());
        let count = of_service.count() as u64;
        assert!(count > 0, "{service}: the queued spans are received");
        assert!(count <= QUEUE + 2 * BATCH, "{service} kept {count} spans");
    }
    system.finish().await
}

async fn orders_end_and_services_stop_as_ever(url: &str, further: &[(&str, &str)]) -> Result<()> {
    let system = System::start_with(&exporting_to(url, further)).await?;

    for _ in 0..10 {
        let order = system.place_order(&Draft::of("MUG", 1)).await?;
        system.watch_until_final(&order.order_id).await?;
        let order = system.order(&order.order_id).await?;
        assert_eq!(order.status(), OrderStatus::Fulfilled);
    }
    for service in Service::PAIR {
        let began = Instant::now();
        let ending = system.stop(service).await?;
        assert!(ending.is_clean(), "{service}: {ending}");
        let took = began.elapsed();
        assert!(took < MAX_STOP, "{service} stopped after {took:?}");
    }
    system.finish().await
}
