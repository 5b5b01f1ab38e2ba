//! The programs accept the configuration in the manifests, and become ready in any order of application.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::SERVICES;
use crate::components::{TOGETHER, with_components};
use crate::compose_file::Compose;
use crate::launch::Launch;
use crate::manifests::Manifests;
use crate::program::{Running, run};
use crate::stand_ins::StandIns;

/// Exit code of a program whose configuration is wrong.
const EXIT_CONFIG: i32 = 78;

/// The cargo feature for TLS to Kafka.
const KAFKA_TLS: &str = "kafka-tls";

/// The settings that a build without it refuses.
const OF_THE_CONNECTION: [&str; 5] = [
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_CA_FILE",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_production_overlay_becomes_ready_once_its_jobs_have_run() -> Result<()> {
    becomes_ready(&Manifests::production().launches()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_production_overlay_with_all_components_becomes_ready() -> Result<()> {
    becomes_ready(&with_components(&TOGETHER).launches()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overlay_for_development_becomes_ready_once_its_jobs_have_run() -> Result<()> {
    becomes_ready(&Manifests::dev().launches()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staging_overlay_becomes_ready_once_its_jobs_have_run() -> Result<()> {
    becomes_ready(&Manifests::staging().launches()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compose_file_becomes_ready_once_its_jobs_have_run() -> Result<()> {
    becomes_ready(&Compose::read().launches()).await
}

/// In the worst order: the servers exist before their schema.
async fn becomes_ready(launches: &[Launch]) -> Result<()> {
    let stand_ins = StandIns::start().await?;
    let services = SERVICES.map(async |service| {
        let done = service_becomes_ready(&stand_ins, launches, service).await;
        done.with_context(|| service.to_owned())
    });
    try_join_all(services).await?;
    Ok(())
}

async fn service_becomes_ready(
    stand_ins: &StandIns,
    launches: &[Launch],
    service: &str,
) -> Result<()> {
    let server = Launch::server(launches, service);
    let (environment, address) = accepted(stand_ins, server).await?;
    let mut running = Running::start(service, &environment, address)?;
    let before = running.first_answer().await?;
    ensure!(
        before == ServingStatus::NotServing,
        "{server} is {before:?} without a schema"
    );

    let job = Launch::job(launches, service, "migrate");
    let (environment, _) = accepted(stand_ins, job).await?;
    let done = run(service, &job.arguments, &environment).await?;
    ensure!(done.status.success(), "{job}: {done:?}");
    // Without a broker the job cannot succeed; only its configuration is checked.
    accepted(stand_ins, Launch::job(launches, service, "topics")).await?;

    running.ready().await?;
    running.stop().await
}

/// The environment of a launch on this machine, and its listen address. Checks that the program finds no mistake in
/// arguments and settings. A build without `kafka-tls` refuses the TLS settings of the Kafka connection, which are then
/// omitted; the image has the feature.
async fn accepted(
    stand_ins: &StandIns,
    launch: &Launch,
) -> Result<(BTreeMap<String, String>, SocketAddr)> {
    let (mut environment, address) = stand_ins.environment(launch)?;
    let mistakes = mistakes(launch, &environment).await?;
    ensure!(
        mistakes.iter().all(|mistake| mistake.contains(KAFKA_TLS)),
        "{launch}: {mistakes:#?}"
    );
    if !mistakes.is_empty() {
        eprintln!("{launch}: built without {KAFKA_TLS}, so its connection to Kafka is not checked");
        environment.retain(|name, _| !OF_THE_CONNECTION.contains(&name.as_str()));
    }
    Ok((environment, address))
}

/// The configuration mistakes that a program reports; an invalid address makes it exit before it does anything.
async fn mistakes(launch: &Launch, environment: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let mut refused = environment.clone();
    refused.insert("GRPC_LISTEN".to_owned(), "nowhere".to_owned());
    let output = run(&launch.service, &launch.arguments, &refused).await?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(
        output.status.code() == Some(EXIT_CONFIG),
        "{launch}: {said}"
    );
    let (of_the_address, others) = said
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .map(ToOwned::to_owned)
        .partition::<Vec<_>, _>(|mistake| mistake.starts_with("GRPC_LISTEN: "));
    ensure!(of_the_address.len() == 1, "{launch}: {said}");
    Ok(others)
}
