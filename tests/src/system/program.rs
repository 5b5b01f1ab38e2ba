//! Runs a service's program to its end, for its output and exit code.

use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result};
use tokio::process::Command;
use tokio::time::timeout;

use super::{Service, WAIT_LIMIT};
use crate::stack::programs_directory;

/// Runs a program of the stack to its end, with these arguments and only these environment variables.
///
/// # Errors
/// When it cannot be started or does not end.
pub async fn run_to_end(
    service: Service,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<Output> {
    run_in(Path::new("."), service, arguments, environment).await
}

/// Like [`run_to_end`], in a directory: paths in settings may be relative.
pub(super) async fn run_in(
    directory: &Path,
    service: Service,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<Output> {
    let output = Command::new(programs_directory().join(service.name()))
        .current_dir(directory)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    timeout(WAIT_LIMIT, output)
        .await
        .with_context(|| format!("{service} does not end"))?
        .with_context(|| format!("cannot run {service}"))
}
