//! Stand-ins for the cluster: a PostgreSQL server with TLS and the roles of `deploy/postgres/postgres.sql`, and files instead of
//! mounts. There is no Kafka and no telemetry collector; the services run without them.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use postgres_server::Cluster;
use rcgen::CertifiedKey;
use tempfile::TempDir;
use tests::system::eventually;

use crate::launch::Launch;
use crate::read;

/// An address without a listener.
const NOWHERE: &str = "127.0.0.1:1";

/// The self-signed certificate of the server, and its key.
pub(crate) static CERTIFICATE: LazyLock<(String, String)> = LazyLock::new(|| {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])
            .expect("a certificate");
    (cert.pem(), signing_key.serialize_pem())
});

#[derive(Debug)]
pub(crate) struct StandIns {
    postgres: u16,
    mounts: TempDir,
    _server: Server,
    _files: TempDir,
}

impl StandIns {
    pub(crate) async fn start() -> Result<Self> {
        let files = tempfile::Builder::new()
            // PostgreSQL runs as another user when this process runs as root.
            .permissions(Permissions::from_mode(0o755))
            .tempdir()?;
        let data = files.path().join("data");
        let cluster = Cluster::open(&data)?;
        enable_tls(&cluster, &data)?;
        create_roles(&cluster, &data)?;
        let postgres = free_port()?;
        let server = Server::start(&cluster, postgres, &files.path().join("log"))?;
        eventually("PostgreSQL is ready", async || {
            Ok(cluster.is_ready().then_some(()))
        })
        .await?;
        Ok(Self {
            postgres,
            mounts: tempfile::tempdir()?,
            _server: server,
            _files: files,
        })
    }

    /// The environment of a launch on this machine, and its listen address.
    pub(crate) fn environment(
        &self,
        launch: &Launch,
    ) -> Result<(BTreeMap<String, String>, SocketAddr)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let root = self.mount(&launch.files)?;
        let mut environment = launch.environment.clone();
        for (name, value) in &mut environment {
            match name.as_str() {
                "DATABASE_URL" => *value = with_authority(value, self.postgres)?,
                "GRPC_LISTEN" => *value = address.to_string(),
                "PROCESSING_ADDRESS" => *value = with_host(value, NOWHERE)?,
                "KAFKA_BROKERS" => *value = NOWHERE.to_owned(),
                "OTEL_EXPORTER_OTLP_ENDPOINT" => *value = format!("http://{NOWHERE}"),
                _ => {}
            }
            for path in launch.files.keys() {
                *value = value.replace(path, &format!("{root}{path}"));
            }
        }
        Ok((environment, address))
    }

    /// Writes the files into a new directory, which is returned.
    fn mount(&self, files: &BTreeMap<String, String>) -> Result<String> {
        let root = tempfile::tempdir_in(&self.mounts)?.keep();
        let root = root.to_str().context("a path in Unicode")?.to_owned();
        for (path, content) in files {
            let file = format!("{root}{path}");
            let directory = Path::new(&file).parent().context("a directory")?;
            fs::create_dir_all(directory)?;
            fs::write(file, content)?;
        }
        Ok(root)
    }
}

/// The URL with this server as host.
fn with_authority(url: &str, port: u16) -> Result<String> {
    let (before, host) = url.split_once('@').context("a URL with a user")?;
    let (_, rest) = host.split_once('/').context("a URL with a database")?;
    Ok(format!("{before}@127.0.0.1:{port}/{rest}"))
}

/// The URL with this host and port.
fn with_host(url: &str, host: &str) -> Result<String> {
    let (scheme, _) = url.split_once("://").context("a URL")?;
    Ok(format!("{scheme}://{host}"))
}

/// Below the ephemeral port range, so that no outgoing connection uses the port meanwhile.
const PORTS: Range<u16> = 20_000..32_000;

/// Attempts before giving up; a fair share of all ports is free on any healthy machine.
const ATTEMPTS: usize = 100;

pub(crate) fn free_port() -> Result<u16> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut candidates = (0..ATTEMPTS).map(|_| rand::random_range(PORTS));
    candidates.find(is_free).context("no port is free")
}

fn enable_tls(cluster: &Cluster, data: &Path) -> Result<()> {
    let (certificate, key) = &*CERTIFICATE;
    for (name, content) in [("server.crt", certificate), ("server.key", key)] {
        let file = data.join(name);
        fs::write(&file, content)?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        if let Some((user, group)) = cluster.run_as() {
            chown(&file, Some(user), Some(group))?;
        }
    }
    let mut settings = fs::File::options()
        .append(true)
        .open(data.join("postgresql.conf"))?;
    writeln!(settings, "ssl = on")?;
    // With and without TLS: compose uses no TLS.
    fs::write(
        data.join("pg_hba.conf"),
        "host all all 127.0.0.1/32 scram-sha-256\n",
    )?;
    Ok(())
}

/// Runs `deploy/postgres/postgres.sql` in single-user mode, which reads one statement per line, before the first start.
fn create_roles(cluster: &Cluster, data: &Path) -> Result<()> {
    let mut command = Command::new(cluster.program());
    command.arg("--single").arg("-D").arg(data).arg("postgres");
    let mut child = as_owner(cluster, &mut command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("standard input")?;
    input.write_all(read("deploy/postgres/postgres.sql").as_bytes())?;
    drop(input);
    let said = String::from_utf8(child.wait_with_output()?.stderr)?;
    ensure!(
        !said.contains("ERROR") && !said.contains("FATAL"),
        "deploy/postgres/postgres.sql: {said}"
    );
    Ok(())
}

fn as_owner<'a>(cluster: &Cluster, command: &'a mut Command) -> &'a mut Command {
    if let Some((user, group)) = cluster.run_as() {
        command.uid(user).gid(group);
    }
    command.current_dir("/")
}

/// A server that ends with this process, however it ends: the shell between them waits for the end of its input.
#[derive(Debug)]
struct Server(Child);

const UNTIL_INPUT_ENDS: &str = r#"
log=$1
shift
"$@" </dev/null >"$log" 2>&1 &
cat >/dev/null
kill -QUIT $!
wait
"#;

impl Server {
    fn start(cluster: &Cluster, port: u16, log: &Path) -> Result<Self> {
        fs::write(log, "")?;
        fs::set_permissions(log, Permissions::from_mode(0o666))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", UNTIL_INPUT_ENDS, "sh"])
            .arg(log)
            .arg(cluster.program())
            .args(cluster.arguments(port))
            .args(["-c", "fsync=off"])
            .stdin(Stdio::piped())
            .process_group(0);
        Ok(Self(as_owner(cluster, &mut command).spawn()?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Fails only if another part of the process has reaped the child.
        let _ = self.0.wait();
    }
}
