//! The collector and Prometheus with the configuration of `deploy/observability`, on free ports and at a faster pace.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tests::stack::programs_directory;
use tests::system::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::queries::{FOLDER, files};
use crate::stand_ins::free_port;
use crate::{project, read};

/// Both servers, until it is dropped.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) otlp: SocketAddr,
    pub(crate) exposition: SocketAddr,
    pub(crate) prometheus: SocketAddr,
    _processes: [Child; 2],
}

impl Servers {
    pub(crate) async fn start(collector: &Path, home: &Path) -> Result<Self> {
        let [otlp, grpc, exposition, health, prometheus] = free_addresses()?;
        let local = home.join("collector.yaml");
        fs::write(&local, collector_settings(otlp, grpc, exposition, health))?;
        let deployed = project().join(format!("{FOLDER}/collector/config.yaml"));
        let mut command = Command::new(collector);
        command.arg("--config").arg(deployed);
        command.arg("--config").arg(local);
        let collector = spawn(command, &home.join("collector.log"))?;

        let config = configure_prometheus(home, exposition)?;
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                home.join("data").display()
            ))
            .arg(format!("--web.listen-address={prometheus}"))
            .args(["--enable-feature=exemplar-storage", "--log.level=warn"]);
        let process = spawn(command, &home.join("prometheus.log"))?;
        let servers = Self {
            otlp,
            exposition,
            prometheus,
            _processes: [collector, process],
        };
        servers.until_ready(home).await?;
        Ok(servers)
    }

    async fn until_ready(&self, home: &Path) -> Result<()> {
        for (address, path, log) in [
            (self.exposition, "/metrics", "collector.log"),
            (self.prometheus, "/-/ready", "prometheus.log"),
        ] {
            let ready = eventually(path, async || Ok(get(address, path, "*/*").await.ok()));
            ready
                .await
                .with_context(|| fs::read_to_string(home.join(log)).unwrap_or_default())?;
        }
        Ok(())
    }
}

/// The collector that `deploy/observability/collector/build.sh` has built, if it has.
pub(crate) fn collector() -> Option<PathBuf> {
    let built = read(&format!("{FOLDER}/collector/builder-config.yaml"));
    let (_, version) = built.split_once("\n  version: ")?;
    let version = version.lines().next()?;
    let programs = programs_directory();
    let program = format!("ci-tools/otelcol-{version}/otelcol");
    let program = programs.parent()?.join(program);
    program.is_file().then_some(program)
}

fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        address.set_port(free_port()?);
    }
    Ok(addresses)
}

/// On top of the deployed configuration. Only addresses and the pace differ.
fn collector_settings(
    otlp: SocketAddr,
    grpc: SocketAddr,
    exposition: SocketAddr,
    health: SocketAddr,
) -> String {
    format!(
        "
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{grpc}'}}, http: {{endpoint: '{otlp}'}}}}}}}}
processors: {{batch: {{timeout: 100ms}}}}
connectors: {{span_metrics: {{metrics_flush_interval: 500ms}}}}
exporters: {{prometheus: {{endpoint: '{exposition}'}}}}
extensions: {{health_check: {{endpoint: '{health}'}}}}
"
    )
}

/// The deployed configuration and rules, with the address of this collector and an evaluation every second.
fn configure_prometheus(home: &Path, exposition: SocketAddr) -> Result<PathBuf> {
    let deployed = read(&format!("{FOLDER}/prometheus/prometheus.yaml"));
    let config = replaced(&deployed, "scrape_interval: 15s", "scrape_interval: 500ms")?;
    let config = replaced(
        &config,
        "evaluation_interval: 30s",
        "evaluation_interval: 1s",
    )?;
    let config = replaced(&config, "otel-collector:8889", &exposition.to_string())?;
    let rules = home.join("rules");
    fs::create_dir(&rules)?;
    for file in files(&format!("{FOLDER}/prometheus/rules"), "yaml") {
        let content = fs::read_to_string(&file)?.replace("interval: 30s", "interval: 1s");
        fs::write(rules.join(file.file_name().context("a name")?), content)?;
    }
    let path = home.join("prometheus.yaml");
    fs::write(&path, config)?;
    Ok(path)
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "there is no {from} in {text}");
    Ok(text.replace(from, to))
}

fn spawn(mut command: Command, log: &Path) -> Result<Child> {
    let log = File::create(log)?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{command:?} cannot be run"))
}

/// The body of an answer. In HTTP/1.0 it ends with the connection and has no chunks.
pub(crate) async fn get(address: SocketAddr, path: &str, accept: &str) -> Result<String> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: {accept}\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    let status = head.split(' ').nth(1);
    ensure!(status == Some("200"), "{path}: {answer}");
    Ok(body.to_owned())
}
