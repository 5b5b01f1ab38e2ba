//! The files of one server (a PostgreSQL cluster), and the command that serves them.
//!
//! There are two roles: the superuser that created the cluster, and [`USER`], which may create databases and owns them.
//! The services use the second one, so that they cannot depend on more rights.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::account::Account;
use crate::{ServerError, binaries};

/// The role of all clients: owner of the databases, not a superuser.
pub const USER: &str = "service";

/// The password of [`USER`]. Not secret: the server listens on loopback and has only test data.
pub const PASSWORD: &str = "service-password";

/// The database that exists on every server.
pub const DEFAULT_DATABASE: &str = "postgres";

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
        let programs = binaries::find()?;
        let account = Account::choose()?;
        account.check_way_to(directory)?;
        let cluster = Self {
            programs,
            directory: directory.to_owned(),
            account,
        };
        if !cluster.directory.is_dir() {
            cluster.create()?;
        }
        Ok(cluster)
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
        let statement = format!("CREATE ROLE {USER} LOGIN CREATEDB PASSWORD {password};\n");
        let mut command = Command::new(self.program());
        command.arg("--single").arg("-D").arg(&self.directory);
        command.arg(DEFAULT_DATABASE);
        run(self.owned(&mut command), &statement).map(drop)
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
        let access = format!("host all {USER} 127.0.0.1/32 scram-sha-256\n");
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

/// The input is at most one line, so it fits into the pipe before the program reads.
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
