//! Clean stops and starts, with meaningful exit codes.

use anyhow::{Context as _, Result};
use proto::orders::v1::OrderStatus;
use tests::system::{Draft, Service, System, run_to_end};

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_service_finishes_its_work_and_logs_a_clean_stop() -> Result<()> {
    let system = System::start().await?;
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.push(system.place_order(&Draft::of("MUG", 1)).await?);
    }

    for service in Service::PAIR {
        let ending = system.stop(service).await?;

        assert!(ending.is_clean(), "{service}: {ending}");
        for process in system.stack().processes(service) {
            let log = system.log_of(process)?;
            let last = log.lines().last().context("a log")?;
            assert!(last.contains("\"clean\""), "{process}: {last}");
        }
    }

    system.restart(Service::Processing).await?;
    system.restart(Service::Orders).await?;
    for order in &orders {
        system.watch_until_final(&order.order_id).await?;
        let order = system.order(&order.order_id).await?;
        assert_eq!(order.status(), OrderStatus::Fulfilled);
    }
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_resumed_after_a_restart_of_the_service() -> Result<()> {
    let system = System::start().await?;
    let draft = Draft::of("MUG", 1).paid_with("tok_slow");
    let order = system.place_order(&draft).await?;
    let watching = system.watch_until_final(&order.order_id);

    let (history, stopped) = tokio::join!(watching, async {
        system
            .watch_until(&order.order_id, OrderStatus::Processing)
            .await?;
        let ending = system.stop(Service::Orders).await?;
        system.restart(Service::Orders).await?;
        anyhow::Ok(ending)
    });

    let stopped = stopped?;
    assert!(stopped.is_clean(), "{stopped}");
    let versions: Vec<i64> = history?.iter().map(|entry| entry.version).collect();
    assert_eq!(versions, [1, 2, 3, 4]);
    system.finish().await
}

#[tokio::test]
async fn a_wrong_configuration_ends_the_start_and_names_every_mistake() -> Result<()> {
    let mistakes = [
        ("GRPC_LISTEN", "somewhere"),
        ("DATABASE_URL", "oracle://nowhere"),
        ("SHUTDOWN_GRACE", "soon"),
    ];
    for service in Service::PAIR {
        let output = run_to_end(service, &[], &mistakes).await?;

        assert_eq!(output.status.code(), Some(78), "{service}");
        let message = String::from_utf8(output.stderr)?;
        for (name, value) in mistakes {
            assert!(message.contains(name), "{service}: {name} in {message}");
            assert!(
                !message.contains("panicked"),
                "{service} {value}: {message}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_argument_is_refused() -> Result<()> {
    for service in Service::PAIR {
        let output = run_to_end(service, &["--no-such-option"], &[]).await?;

        assert_eq!(output.status.code(), Some(64), "{service}");
        let message = String::from_utf8(output.stderr)?;
        assert!(message.contains("--no-such-option"), "{service}: {message}");
    }
    Ok(())
}

#[tokio::test]
async fn help_names_every_setting() -> Result<()> {
    for service in Service::PAIR {
        let output = run_to_end(service, &["--help"], &[]).await?;

        assert_eq!(output.status.code(), Some(0), "{service}");
        let text = String::from_utf8(output.stdout)?;
        for name in ["GRPC_LISTEN", "DATABASE_URL", "KAFKA_BROKERS", "LOG_FILTER"] {
            assert!(text.contains(name), "{service}: {name} in {text}");
        }
    }
    Ok(())
}
