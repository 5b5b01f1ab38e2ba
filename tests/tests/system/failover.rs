//! PostgreSQL fails over to its standby behind one address. The former primary goes on, read-only, and keeps its open
//! connections. Only on the production engines: a SQLite file has no standby.
//!
//! The standby is promoted when the primary accepts no more writes and the standby has replayed all that it wrote, so the
//! failover itself loses nothing, as with synchronous replication.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use auditor::Limits;
use sqlx::{Connection as _, PgConnection};
use tests::system::{Draft, Service, System, eventually, run_to_end};

/// From the promotion until every replica accepts orders again.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_accepted_within_seconds_of_a_failover_and_none_is_lost() -> Result<()> {
    let Some(system) = System::start_production_through_proxies().await? else {
        return Ok(());
    };
    let (orders, accepted) = system.under_load(fail_over(&system)).await?;

    assert!(accepted < ACCEPTED_WITHIN, "only after {accepted:?}");
    system.all_become_final(&orders).await?;
    assert_eq!(system.stack().restarts(), 0);
    let shipped = system.stock("LAMP").await?.shipped;
    assert_eq!(shipped, i64::try_from(orders.len())?);
    until_no_session_is_left(&system).await?;
    for service in Service::PAIR {
        refuses_the_former_primary(&system, service, &["migrate"]).await?;
        refuses_the_former_primary(&system, service, &["dead-letters", "list"]).await?;
    }
    // Deleting published rows failed on the former primary, so some are published twice.
    let limits = Limits {
        wire_duplicates: None,
        set_aside: Some(0),
        ..Limits::default()
    };
    system.finish_within(limits).await.map(drop)
}

/// Returns the time from the promotion until every replica of order-service has accepted an order.
async fn fail_over(system: &System) -> Result<Duration> {
    // Sessions of both services are in use.
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;

    system.stack().fail_over().await?;

    let promoted = Instant::now();
    for replica in 0..system.addresses().orders.len() {
        eventually("the replica accepts an order", async || {
            let mut client = system.client_of(replica)?;
            let placed = client.place_order(Draft::of("MUG", 1).request()).await;
            Ok(placed.ok())
        })
        .await?;
    }
    Ok(promoted.elapsed())
}

/// The services have closed all their sessions on the former primary.
async fn until_no_session_is_left(system: &System) -> Result<()> {
    let former = former_primary(system, Service::Orders)?;
    eventually("no session is left on the former primary", async || {
        let mut former = PgConnection::connect(&former).await?;
        let count = "SELECT count(*) FROM pg_stat_activity \
                     WHERE usename = current_user AND pid <> pg_backend_pid()";
        let left: i64 = sqlx::query_scalar(count).fetch_one(&mut former).await?;
        former.close().await?;
        Ok((left == 0).then_some(()))
    })
    .await
}

/// The migration job, or an operator command, that reaches the former primary ends with the reason.
async fn refuses_the_former_primary(
    system: &System,
    service: Service,
    command: &[&str],
) -> Result<()> {
    let url = former_primary(system, service)?;
    let mut settings = system.stack().settings(service);
    settings.push(("DATABASE_URL".to_owned(), url));
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();

    let output = run_to_end(service, command, &settings).await?;

    let message = String::from_utf8([output.stdout, output.stderr].concat())?;
    ensure!(!output.status.success(), "{service} {command:?}: {message}");
    ensure!(
        message.contains("the database server is read-only"),
        "{service} {command:?}: {message}"
    );
    Ok(())
}

fn former_primary(system: &System, service: Service) -> Result<String> {
    let address = system.addresses().database.context("a server")?;
    let database = match service {
        Service::Processing => "processing",
        _ => "orders",
    };
    Ok(postgres_server::url(address.port(), database))
}
