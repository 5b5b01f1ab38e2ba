//! Runs the subcommands that create the topics and, on PostgreSQL, the schemas of the services.
//!
//! These are the services' own subcommands, as an operator runs them, so that no test depends on topics or tables made
//! by the harness.

use std::fs::File;
use std::io::Write as _;
use std::process::{Output, Stdio};

use futures::future::try_join_all;
use tokio::process::Command;

use super::launches::Launches;
use super::{DatabaseEngine, Service, StackError};

/// Runs the needed subcommands of both services concurrently: they share nothing.
pub(super) async fn run(launches: &Launches<'_>) -> Result<(), StackError> {
    let subcommands: &[&'static str] = match launches.config.engines.database {
        // A SQLite file is migrated by the process that opens it.
        DatabaseEngine::Sqlite => &["topics"],
        DatabaseEngine::Postgres => &["topics", "migrate"],
    };
    let pair = Service::PAIR.into_iter();
    let all = pair.flat_map(|service| subcommands.iter().map(move |name| (service, *name)));
    try_join_all(all.map(|(service, name)| run_one(launches, service, name))).await?;
    Ok(())
}

async fn run_one(
    launches: &Launches<'_>,
    service: Service,
    subcommand: &'static str,
) -> Result<(), StackError> {
    let output = Command::new(launches.program(service.name())?)
        .arg(subcommand)
        .envs(launches.settings(service))
        .current_dir(launches.directory.root())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .and_then(|output| keep(launches, service, subcommand, output))
        .map_err(|source| StackError::Run {
            program: service.name().to_owned(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(StackError::Subcommand {
        service,
        subcommand,
        said: String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            .trim()
            .to_owned(),
    })
}

/// Stores its output beside the logs of the processes.
fn keep(
    launches: &Launches<'_>,
    service: Service,
    subcommand: &str,
    output: Output,
) -> std::io::Result<Output> {
    let mut log = File::options()
        .append(true)
        .create(true)
        .open(launches.directory.subcommand_log(service, subcommand))?;
    log.write_all(&output.stdout)?;
    log.write_all(&output.stderr)?;
    Ok(output)
}
