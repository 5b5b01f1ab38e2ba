//! The files of one server (a PostgreSQL cluster), and the command that serves them.
//!
//! There are three roles: the superuser that created the cluster, [`USER`], which may create databases and owns them, and one
//! for a standby. The services use the second one, so that they cannot depend on more rights.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::{ServerError, binaries};

/// The role of all clients: owner of the databases, not a superuser.
pub const USER: &str = "service";

/// The password of [`USER`]. Not secret: the server listens on loopback and has only test data.
pub const PASSWORD: &str = "service-password";

/// The role of a standby that follows a server.
const REPLICATION: &str = "replication";

/// The database that exists on every server.
pub const DEFAULT_DATABASE: &str = "postgres";

/// Maximum time until a setting is loaded, a standby has caught up or is promoted; each takes a fraction of a second on an
/// idle machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Poll interval.
const PAUSE: Duration = Duration::from_millis(10);

/// Maximum sessions: two replicas of each service with their pools, the harness, and a reserve.
const CONNECTIONS: u32 = 100;

/// The files of a server and the account that owns them.
#[derive(Clone, Debug)]
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    account: Account,
}

impl Cluster {
    /// Opens the cluster in this directory; creates it if there is none.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, the directory cannot be used, or `initdb` fails.
    pub fn open(directory: &Path) -> Result<Self, ServerError> {
        let cluster = Self::at(directory)?;
        if !cluster.directory.is_dir() {
            cluster.create()?;
        }
        Ok(cluster)
    }

    /// The cluster in this directory, which may not exist yet.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or the directory cannot be used.
    pub fn at(directory: &Path) -> Result<Self, ServerError> {
        let account = Account::choose()?;
        account.check_way_to(directory)?;
        Ok(Self {
            programs: binaries::find()?,
            directory: directory.to_owned(),
            account,
        })
    }

    /// Makes this the cluster of a standby: a copy of the primary at this port, which it follows once it is started. Earlier
    /// files are removed.
    ///
    /// # Errors
    /// When the directory cannot be used, or the copy fails.
    pub fn copy_primary(&self, port: u16) -> Result<(), ServerError> {
        self.make_directory()
            .map_err(|source| self.unusable(source))?;
        let primary = format!("postgres://{REPLICATION}:{PASSWORD}@127.0.0.1:{port}");
        let mut command = Command::new(self.programs.join("pg_basebackup"));
        command
            .args(["--checkpoint=fast", "--wal-method=stream", "--no-sync"])
            // Also writes how to follow the primary.
            .arg("--write-recovery-conf")
            .args(["--dbname", &primary])
            .arg("--pgdata")
            .arg(&self.directory);
        run(self.owned(&mut command), "").map(drop)
    }

    /// The full path of the server program.
    pub fn program(&self) -> PathBuf {
        self.programs.join("postgres")
    }

    /// The arguments for serving this cluster on a port of 127.0.0.1.
    pub fn arguments(&self, port: u16) -> Vec<String> {
        vec![
            "-D".to_owned(),
            self.directory.display().to_string(),
            "-p".to_owned(),
            port.to_string(),
        ]
    }

    /// User and group that it must run as; `None` for those of the starting process.
    pub fn run_as(&self) -> Option<(u32, u32)> {
        self.account.ids()
    }

    /// Whether the server that was started on this cluster accepts connections.
    pub fn is_ready(&self) -> bool {
        // From the server's own status file: a connection would need a process.
        fs::read_to_string(self.directory.join("postmaster.pid"))
            .is_ok_and(|text| text.lines().any(|line| line.trim_end() == "ready"))
    }

    /// Whether sessions of the running server are read-only by default: new ones at once when this returns, open ones from
    /// their next statement.
    ///
    /// # Errors
    /// When the settings cannot be written or loaded.
    pub fn set_read_only(&self, port: u16, is_read_only: bool) -> Result<(), ServerError> {
        let value = if is_read_only { "on" } else { "off" };
        let line = format!("default_transaction_read_only = {value}\n");
        let settings = self.directory.join("postgresql.conf");
        // Of several lines the last one counts.
        let added = File::options().append(true).open(&settings);
        added
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|source| self.unusable(source))?;
        self.control(&["reload"])?;
        self.until(port, "SHOW default_transaction_read_only", value)
    }

    /// Promotes the standby at this port, and returns when it accepts writes.
    ///
    /// # Errors
    /// When it is not a standby, or does not become a primary.
    pub fn promote(&self, port: u16) -> Result<(), ServerError> {
        self.control(&["promote", "--wait"])?;
        self.until(port, "SELECT pg_is_in_recovery()", "f")
    }

    /// Waits until the transactions that were open on this primary have ended, and the standby at the other port has all
    /// that they wrote. The primary must be read-only, so that no later transaction writes.
    ///
    /// # Errors
    /// When a transaction stays open, or the standby does not follow.
    pub fn until_followed(&self, port: u16, standby: u16) -> Result<(), ServerError> {
        let now = self.query(port, "SELECT clock_timestamp()")?;
        let open = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE xact_start < {}::timestamptz",
            literal(now.trim())
        );
        self.until(port, &open, "0")?;
        let written = self.query(port, "SELECT pg_current_wal_flush_lsn()")?;
        let has_all = format!(
            "SELECT pg_last_wal_replay_lsn() >= {}::pg_lsn",
            literal(written.trim())
        );
        self.until(standby, &has_all, "t")
    }

    fn control(&self, arguments: &[&str]) -> Result<(), ServerError> {
        let mut command = Command::new(self.programs.join("pg_ctl"));
        command.args(arguments).arg("--pgdata").arg(&self.directory);
        run(self.owned(&mut command), "").map(drop)
    }

    /// Waits until a statement, each time in a session of its own, returns this value.
    fn until(&self, port: u16, statement: &str, value: &str) -> Result<(), ServerError> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        while self.query(port, statement)?.trim() != value {
            if Instant::now() > deadline {
                return Err(ServerError::Failed {
                    program: "psql".to_owned(),
                    output: format!("{statement} does not become {value}"),
                });
            }
            sleep(PAUSE);
        }
        Ok(())
    }

    /// Creates a database on the server at this port, unless it exists.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn ensure_database(&self, port: u16, name: &str) -> Result<(), ServerError> {
        let exists = format!(
            "SELECT 1 FROM pg_database WHERE datname = {}",
            literal(name)
        );
        if self.query(port, &exists)?.trim().is_empty() {
            self.query(port, &format!("CREATE DATABASE {}", identifier(name)))?;
        }
        Ok(())
    }

    /// Runs a statement as [`USER`] in the default database and returns its output.
    pub(crate) fn query(&self, port: u16, statement: &str) -> Result<String, ServerError> {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args([
                "--set=ON_ERROR_STOP=1",
                "--dbname",
                &url(port, DEFAULT_DATABASE),
            ])
            .args(["--command", statement]);
        run(&mut command, "")
    }

    /// Runs a command as the cluster's owner, in a directory that it may enter.
    pub(crate) fn owned<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        self.account.run_as(command).current_dir("/")
    }

    /// Created beside its final place and renamed when complete: an existing directory is never half a cluster.
    fn create(&self) -> Result<(), ServerError> {
        let draft = Self {
            directory: self.directory.with_extension("draft"),
            ..self.clone()
        };
        draft
            .make_directory()
            .map_err(|source| draft.unusable(source))?;
        draft.init()?;
        draft.create_role()?;
        draft
            .write_settings()
            .map_err(|source| draft.unusable(source))?;
        fs::rename(&draft.directory, &self.directory).map_err(|source| self.unusable(source))
    }

    fn make_directory(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // PostgreSQL refuses a directory that others may read.
        DirBuilder::new().mode(0o700).create(&self.directory)?;
        self.account.give(&self.directory)
    }

    fn init(&self) -> Result<(), ServerError> {
        let mut command = Command::new(self.programs.join("initdb"));
        command
            // Access rules are written below.
            .args(["--username=superuser", "--auth=reject"])
            // Bytewise collation, which needs no locale of the machine.
            .args(["--encoding=UTF8", "--no-locale"])
            // Syncing an empty cluster protects nothing.
            .arg("--no-sync")
            .arg("--pgdata")
            .arg(&self.directory);
        run(self.owned(&mut command), "").map(drop)
    }

    /// Without a server: in single-user mode, before the first start.
    fn create_role(&self) -> Result<(), ServerError> {
        let password = literal(PASSWORD);
        let statements = format!(
            "CREATE ROLE {USER} LOGIN CREATEDB PASSWORD {password};\n\
             CREATE ROLE {REPLICATION} LOGIN REPLICATION PASSWORD {password};\n"
        );
        let mut command = Command::new(self.program());
        command.arg("--single").arg("-D").arg(&self.directory);
        command.arg(DEFAULT_DATABASE);
        run(self.owned(&mut command), &statements).map(drop)
    }

    fn write_settings(&self) -> io::Result<()> {
        let settings = format!(
            "listen_addresses = '127.0.0.1'\n\
             unix_socket_directories = ''\n\
             max_connections = {CONNECTIONS}\n\
             shared_buffers = '64MB'\n\
             log_line_prefix = '%m [%p] %u@%d '\n"
        );
        fs::write(self.directory.join("postgresql.conf"), settings)?;
        let access = format!(
            "host all {USER} 127.0.0.1/32 scram-sha-256\n\
             host replication {REPLICATION} 127.0.0.1/32 scram-sha-256\n"
        );
        fs::write(self.directory.join("pg_hba.conf"), access)
    }

    fn unusable(&self, source: io::Error) -> ServerError {
        ServerError::Directory {
            path: self.directory.clone(),
            source,
        }
    }
}

/// The URL of a database on the server at this port.
pub fn url(port: u16, database: &str) -> String {
    format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
}

/// Runs a program to its end with this input, and returns its output.
fn run(command: &mut Command, input: &str) -> Result<String, ServerError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = output_of(command, input).map_err(|source| ServerError::Run {
        program: program.clone(),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(ServerError::Failed {
        program,
        output: String::from_utf8_lossy(&said).trim().to_owned(),
    })
}

/// The input is at most a few lines, so it fits into the pipe before the program reads.
fn output_of(command: &mut Command, input: &str) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes())?;
    }
    child.wait_with_output()
}

pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
