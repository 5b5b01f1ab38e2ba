//! A server with the lifetime of the process that started it.
//!
//! A small shell script stands between the two: its standard input is a pipe that only this process holds. When the
//! pipe closes, because the [`Server`] was dropped or the process ended for any reason, the script stops the server
//! (its own child, so its pid cannot be reused) and removes the files.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ServerError;
use crate::account::Account;
use crate::cluster::{Cluster, identifier, url};

/// Startup timeout; a start takes a fraction of a second on an idle machine.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(60);

/// Poll interval.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Lines of the log in the error of a failed start.
const LOG_TAIL_LINES: usize = 15;

/// The server's log, beside its data.
pub(crate) const LOG: &str = "log";

/// The immediate shutdown of PostgreSQL: the data is not needed again.
const IMMEDIATE: &str = "QUIT";

/// The last line of the server's log when another process has its port.
const NO_SOCKET: &str = "could not create any TCP/IP sockets";

const WATCH: &str = r#"
log=$1 directory=$2 signal=$3
shift 3
"$@" </dev/null >"$log" 2>&1 &
server=$!
cat >/dev/null
kill -s "$signal" "$server"
wait "$server"
rm -rf "$directory"
"#;

/// A PostgreSQL server with its own files, for tests. It ends, and its files are removed, when it is dropped or when
/// this process ends.
///
/// By default it does not sync to disk (`fsync = off`): a test kills processes, and written data survives that; only a
/// crash of the whole machine would lose it.
#[derive(Debug)]
pub struct Server {
    cluster: Cluster,
    watch: Child,
    port: u16,
    copies: AtomicU32,
    directory: TempDir,
}

impl Server {
    /// Starts a server and returns when it accepts connections. Blocks, for about a second.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with(&["-c", "fsync=off"])
    }

    /// As [`Server::start`], but commits are synced to disk as in production: for measurements.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_durable() -> Result<Self, ServerError> {
        Self::start_with(&[])
    }

    /// Another process may take a free port before the server does: then the next one is tried.
    fn start_with(arguments: &[&str]) -> Result<Self, ServerError> {
        loop {
            match Self::start_on(free_port()?, arguments) {
                Err(ServerError::PortTaken { .. }) => {}
                started => return started,
            }
        }
    }

    fn start_on(port: u16, arguments: &[&str]) -> Result<Self, ServerError> {
        let directory = own_directory()?;
        let cluster = Cluster::open(&directory.path().join("data"))?;
        let watch = spawn(&cluster, directory.path(), port, arguments)?;
        let server = Self {
            cluster,
            watch,
            port,
            copies: AtomicU32::new(0),
            directory,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database, with user and password.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    ///
    /// # Errors
    /// When the server refuses, for example because the database exists.
    pub fn create_database(&self, name: &str) -> Result<(), ServerError> {
        self.execute(&format!("CREATE DATABASE {}", identifier(name)))
    }

    /// Creates a database with a new name as a copy of `template`, and returns its URL. Takes some tens of
    /// milliseconds. There must be no connection to the template.
    ///
    /// # Errors
    /// When the server refuses, for example because of a connection to the template.
    pub fn copy_of(&self, template: &str) -> Result<String, ServerError> {
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let name = format!("{template}_{number}");
        let (copy, original) = (identifier(&name), identifier(template));
        self.execute(&format!("CREATE DATABASE {copy} TEMPLATE {original}"))?;
        Ok(self.url(&name))
    }

    /// Runs a statement in the default database, as the user in the URLs.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn execute(&self, statement: &str) -> Result<(), ServerError> {
        self.cluster.query(self.port, statement).map(drop)
    }

    /// Makes the sessions of this server read-only, or not, as a former primary after a failover.
    ///
    /// # Errors
    /// When the settings cannot be written or loaded.
    pub fn set_read_only(&self, is_read_only: bool) -> Result<(), ServerError> {
        self.cluster.set_read_only(self.port, is_read_only)
    }

    fn wait_until_ready(&self) -> Result<(), ServerError> {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.cluster.is_ready() {
            let log = tail(&self.directory.path().join(LOG));
            if log.contains(NO_SOCKET) {
                return Err(ServerError::PortTaken { port: self.port });
            }
            if Instant::now() > deadline {
                return Err(ServerError::NotReady { log });
            }
            sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        // Fails only if another part of the process has reaped the child.
        let _ = self.watch.wait();
    }
}

/// The server shared by all tests of this binary. It ends with the binary.
///
/// # Panics
/// When it cannot be started: the tests of the caller need it.
#[expect(
    clippy::panic,
    reason = "only tests call it, and a test fails by panicking"
)]
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| match Server::start() {
        Ok(server) => server,
        Err(error) => panic!("{error}"),
    })
}

/// Owned by the account that runs the server: the script works in it.
pub(crate) fn own_directory() -> Result<TempDir, ServerError> {
    let unusable = |source| ServerError::Directory {
        path: std::env::temp_dir(),
        source,
    };
    let directory = tempfile::Builder::new()
        .prefix("postgres-server-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .map_err(unusable)?;
    Account::choose()?
        .give(directory.path())
        .map_err(unusable)?;
    Ok(directory)
}

fn spawn(
    cluster: &Cluster,
    directory: &Path,
    port: u16,
    arguments: &[&str],
) -> Result<Child, ServerError> {
    let mut command = watched(directory, IMMEDIATE);
    command
        .arg(cluster.program())
        .args(cluster.arguments(port))
        .args(arguments);
    start_watched(cluster.owned(&mut command))
}

/// The script that runs the program in the following arguments while this process lives, and ends it with this signal.
pub(crate) fn watched(directory: &Path, signal: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", WATCH, "postgres-server"])
        .arg(directory.join(LOG))
        .arg(directory)
        .arg(signal)
        .stdin(Stdio::piped())
        // Ctrl-C signals the test only; the closed pipe then stops the script.
        .process_group(0);
    command
}

pub(crate) fn start_watched(command: &mut Command) -> Result<Child, ServerError> {
    command.spawn().map_err(|source| ServerError::Run {
        program: "sh".to_owned(),
        source,
    })
}

/// Below the ephemeral port range, so that no outgoing connection uses it, and below the ports that the local stack
/// picks for processes that do not listen at once.
const FIRST_PORT: u16 = 12_000;
const PORTS: u16 = 8_000;

/// A fair share of all ports is free on any healthy machine; a process that has tried this many does not need more.
const ATTEMPTS: u32 = 1_000;

/// Between two tried ports: a prime, so that all are tried before one is repeated.
const STRIDE: u32 = 61;

/// A free port that this process has not tried before: otherwise servers started concurrently would find the same one.
pub(crate) fn free_port() -> Result<u16, ServerError> {
    static LOOKED_AT: AtomicU32 = AtomicU32::new(0);
    // Processes that start concurrently begin at different ports.
    let start = std::process::id().wrapping_mul(7_919) % u32::from(PORTS);
    let mut attempts = std::iter::from_fn(|| {
        let attempt = LOOKED_AT.fetch_add(1, Ordering::Relaxed);
        (attempt < ATTEMPTS).then_some(attempt)
    });
    let ports = attempts.by_ref().map(|attempt| {
        let offset = (start + attempt * STRIDE) % u32::from(PORTS);
        FIRST_PORT + u16::try_from(offset).unwrap_or_default()
    });
    let mut free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().ok_or(ServerError::NoFreePort)
}

pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_conflict_is_distinguished_from_a_server_that_does_not_start() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();

        let started = Server::start_on(port, &[]);

        assert!(matches!(started, Err(ServerError::PortTaken { port: taken }) if taken == port));
    }

    #[test]
    fn no_port_is_tried_twice() {
        assert_ne!(free_port().unwrap(), free_port().unwrap());
    }
}
