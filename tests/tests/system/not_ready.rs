//! Messages and readiness of a service whose database or topics are not prepared. Only on the production engines: a
//! SQLite file is migrated by the service that opens it.

use anyhow::{Context as _, Result};
use proto::topics;
use tests::system::{Draft, Process, Service, System, run_to_end};

#[tokio::test(flavor = "multi_thread")]
async fn services_report_missing_topics_and_become_ready_when_they_exist() -> Result<()> {
    let Some(system) = System::start_without_services(&[]).await? else {
        return Ok(());
    };
    migrate(&system).await?;

    let processes = launch(&system).await?;
    for process in &processes {
        system.logs(*process, "is missing").await?;
        assert!(!system.stack().is_ready(*process).await, "{process}");
    }
    for service in Service::PAIR {
        system.run(service, "topics").await?;
    }

    are_ready_and_work(system, &processes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn services_report_topics_with_too_few_partitions() -> Result<()> {
    let Some(system) = System::start_without_services(&[]).await? else {
        return Ok(());
    };
    migrate(&system).await?;
    let small = system.topic(topics::ORDER_EVENTS);
    small.create(3).await?;
    system.run(Service::Processing, "topics").await?;

    let refusal = system.run(Service::Orders, "topics").await;
    let message = format!("{:#}", refusal.err().context("the topic differs")?);
    assert!(message.contains(topics::ORDER_EVENTS), "{message}");

    let processes = launch(&system).await?;
    for process in &processes {
        system.logs(*process, "has 3 partitions").await?;
        assert!(!system.stack().is_ready(*process).await, "{process}");
    }
    small.grow_to(6).await?;

    are_ready_and_work(system, &processes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_reports_a_dead_letter_topic_that_takes_less_than_its_topic() -> Result<()> {
    let Some(system) = System::start_without_services(&[]).await? else {
        return Ok(());
    };
    migrate(&system).await?;
    for service in Service::PAIR {
        system.run(service, "topics").await?;
    }
    let small = system.topic(topics::ORDER_EVENTS_DEAD_LETTERS);
    small.limit_to(kafka::topics::EVENT_BYTES).await?;

    let refusal = system.run(Service::Processing, "topics").await;
    let message = format!("{:#}", refusal.err().context("the topic differs")?);
    assert!(message.contains("max.message.bytes"), "{message}");

    let processes = launch(&system).await?;
    for process in system.stack().processes(Service::Processing) {
        system.logs(process, "a dead letter of").await?;
        assert!(!system.stack().is_ready(process).await, "{process}");
    }
    small.limit_to(kafka::topics::DEAD_LETTER_BYTES).await?;

    are_ready_and_work(system, &processes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn services_without_tables_name_the_command_to_run_and_become_ready_after_it() -> Result<()> {
    let Some(system) = System::start_without_services(&[]).await? else {
        return Ok(());
    };
    for service in Service::PAIR {
        system.run(service, "topics").await?;
    }

    let processes = launch(&system).await?;
    for process in &processes {
        let advice = format!("{} migrate", process.service);
        system.logs(*process, &advice).await?;
        assert!(!system.stack().is_ready(*process).await, "{process}");
    }
    migrate(&system).await?;

    are_ready_and_work(system, &processes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_database_ends_the_start_with_one_line_that_names_the_fix() -> Result<()>
{
    let Some(system) = System::start_without_services(&[]).await? else {
        return Ok(());
    };
    let address = system.addresses().database.context("a server")?;
    let wrong_password = format!("postgres://service:wrong@{address}/orders");
    let no_such_database = format!(
        "postgres://{}:{}@{address}/nowhere",
        postgres_server::USER,
        postgres_server::PASSWORD
    );
    for (url, advice) in [
        (&wrong_password, "check user and password"),
        (&no_such_database, "create it, or correct its name"),
    ] {
        for service in Service::PAIR {
            for subcommand in [&[][..], &["migrate"][..]] {
                refuses(&system, service, subcommand, url, advice).await?;
            }
        }
    }
    system.discard().await
}

async fn refuses(
    system: &System,
    service: Service,
    subcommand: &[&str],
    url: &str,
    advice: &str,
) -> Result<()> {
    let mut settings = system.stack().settings(service);
    settings.push(("DATABASE_URL".to_owned(), url.to_owned()));
    settings.push(("GRPC_LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();

    let output = run_to_end(service, subcommand, &settings).await?;

    let message = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(78), "{service}: {message}");
    assert!(message.contains(advice), "{service}: {message}");
    assert!(!message.contains("wrong@"), "{service}: {message}");
    assert_eq!(
        message.trim_end().lines().count(),
        1,
        "{service}: {message}"
    );
    Ok(())
}

async fn migrate(system: &System) -> Result<()> {
    for service in Service::PAIR {
        system.run(service, "migrate").await?;
    }
    Ok(())
}

async fn launch(system: &System) -> Result<Vec<Process>> {
    let processes = Service::PAIR.map(|service| system.stack().processes(service));
    let processes = processes.concat();
    for process in &processes {
        system.stack().launch(*process).await?;
    }
    Ok(processes)
}

async fn are_ready_and_work(system: System, processes: &[Process]) -> Result<()> {
    for process in processes {
        system.until_ready(*process).await?;
    }
    assert_eq!(system.stack().restarts(), 0);
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;
    system.finish().await
}
