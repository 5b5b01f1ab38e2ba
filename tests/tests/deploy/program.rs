//! Runs the programs of this build as a container does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;
use tests::stack::programs_directory;
use tests::system::{WAIT_LIMIT, eventually};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Timeout of one health check.
const QUESTION: Duration = Duration::from_secs(2);

/// A command with these arguments and variables, and nothing inherited from this process.
fn command(service: &str, arguments: &[String], environment: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(programs_directory().join(service));
    command
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs the program to its end.
pub(crate) async fn run(
    service: &str,
    arguments: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<Output> {
    let running = command(service, arguments, environment).output();
    let ended = timeout(WAIT_LIMIT, running).await;
    ended
        .with_context(|| format!("{service} {arguments:?} does not end"))?
        .with_context(|| format!("{service} cannot be run"))
}

/// The output of `--help`.
#[derive(Debug)]
pub(crate) struct Help(String);

impl Help {
    pub(crate) async fn of(service: &str) -> Result<Self> {
        let output = run(service, &["--help".to_owned()], &BTreeMap::new()).await?;
        Ok(Self(String::from_utf8(output.stdout)?))
    }

    /// The settings in the help, which have the form `  NAME [default]`.
    pub(crate) fn settings(&self) -> BTreeSet<&str> {
        self.entries().map(|(name, _)| name).collect()
    }

    pub(crate) fn default(&self, setting: &str) -> Option<&str> {
        self.entries()
            .find(|(name, _)| *name == setting)
            .map(|(_, default)| default)
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| {
            let (name, default) = line
                .strip_prefix("  ")?
                .strip_suffix(']')?
                .split_once(" [")?;
            (!name.contains(' ')).then_some((name, default))
        })
    }
}

/// A running service.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    probe: Probe,
    log: NamedTempFile,
}

/// How its health is checked.
#[derive(Debug)]
struct Probe {
    service: String,
    environment: BTreeMap<String, String>,
    address: SocketAddr,
}

impl Running {
    /// Starts the service, which must serve at the address.
    pub(crate) fn start(
        service: &str,
        environment: &BTreeMap<String, String>,
        address: SocketAddr,
    ) -> Result<Self> {
        let log = NamedTempFile::new()?;
        let output = File::options().append(true).open(log.path())?;
        let child = command(service, &[], environment)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{service} cannot be run"))?;
        let probe = Probe {
            service: service.to_owned(),
            environment: environment.clone(),
            address,
        };
        Ok(Self { child, probe, log })
    }

    /// The first answer of its health service.
    pub(crate) async fn first_answer(&mut self) -> Result<ServingStatus> {
        let answer = eventually("the health service answers", async || {
            self.probe.ask().await
        });
        tokio::select! {
            answer = answer => answer.with_context(|| said(&self.log)),
            ended = self.child.wait() => bail!("it ended, {}: {}", ended?, said(&self.log)),
        }
    }

    /// Waits until the service is ready.
    pub(crate) async fn ready(&self) -> Result<()> {
        let ready = eventually("SERVING", async || {
            let is_ready = self.probe.ask().await? == Some(ServingStatus::Serving);
            Ok(is_ready.then_some(()))
        });
        ready.await.with_context(|| said(&self.log))
    }

    /// Stops the service with SIGTERM, as Kubernetes and compose do, and requires a clean exit.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().context("it has exited already")?;
        kill(Pid::from_raw(pid.try_into()?), Signal::SIGTERM)?;
        let ended = timeout(WAIT_LIMIT, self.child.wait()).await;
        let status = ended.with_context(|| format!("it does not stop: {}", said(&self.log)))??;
        ensure!(status.success(), "{status}: {}", said(&self.log));
        Ok(())
    }
}

impl Probe {
    /// The answer to a Kubernetes probe, if there is one: a gRPC request, or with TLS the program's own probe command.
    async fn ask(&self) -> Result<Option<ServingStatus>> {
        if !self.environment.contains_key("GRPC_TLS_CERTIFICATE_FILE") {
            return Ok(health(self.address).await);
        }
        let arguments = ["probe".to_owned()];
        let found = run(&self.service, &arguments, &self.environment).await?;
        if found.status.success() {
            return Ok(Some(ServingStatus::Serving));
        }
        let said = String::from_utf8(found.stderr)?;
        Ok(said
            .contains("is not ready")
            .then_some(ServingStatus::NotServing))
    }
}

/// The answer to a gRPC probe at this address, if there is one.
async fn health(address: SocketAddr) -> Option<ServingStatus> {
    let check = async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        let mut client = HealthClient::new(endpoint.connect().await.ok()?);
        // Without a service name, the check is about the whole server.
        let answer = client.check(HealthCheckRequest::default()).await.ok()?;
        Some(answer.into_inner().status())
    };
    timeout(QUESTION, check).await.ok().flatten()
}

fn said(log: &NamedTempFile) -> String {
    std::fs::read_to_string(log.path()).unwrap_or_default()
}
