//! The files of one server (what PostgreSQL calls a cluster), and the command that serves them.
//!
//! There are two roles: the superuser that made the cluster, and [`USER`], which may create databases and owns them. The
//! services get the second one, so that nothing in them relies on more.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::account::Account;
use crate::{ServerError, binaries};

/// Who connects: owner of the databases, no superuser.
pub const USER: &str = "service";

/// The password of [`USER`]. No secret: the server listens on loopback and holds nothing but test data.
pub const PASSWORD: &str = "service-password";

/// The database that every server has.
pub const DEFAULT_DATABASE: &str = "postgres";

/// Sessions at once: two replicas of each service with their pools, the harness, and room.
const CONNECTIONS: u32 = 100;

/// The files of a server and the account that owns them.
#[derive(Clone, Debug)]
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    account: Account,
}

impl Cluster {
    /// The cluster in this directory; makes it first if there is none.
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

    /// The program to run, by its full path.
    pub fn program(&self) -> PathBuf {
        self.programs.join("postgres")
    }

    /// Its arguments to serve this cluster on a port of 127.0.0.1.
    pub fn arguments(&self, port: u16) -> Vec<String> {
        vec![
            "-D".to_owned(),
            self.directory.display().to_string(),
            "-p".to_owned(),
            port.to_string(),
        ]
    }

    /// User and group that it must run as; `None` when it runs as who starts it.
    pub fn run_as(&self) -> Option<(u32, u32)> {
        self.account.ids()
    }

    /// Whether the server that was started on this cluster accepts connections.
    pub fn is_ready(&self) -> bool {
        // The server's own word, one line among others: asking it by connection would cost a process.
        fs::read_to_string(self.directory.join("postmaster.pid"))
            .is_ok_and(|text| text.lines().any(|line| line.trim_end() == "ready"))
    }

    /// Creates a database on the server at this port, unless it is there.
    ///
    /// # Errors
    /// When the server does not do so.
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

    /// Runs a statement as [`USER`] in the default database and returns what it printed.
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

    /// Makes a command run as the cluster's owner, in a directory that it may enter.
    pub(crate) fn owned<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        self.account.run_as(command).current_dir("/")
    }

    /// Made beside its place and moved there when it is whole: what is there is never half a cluster.
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
            // Who may log in is written below.
            .args(["--username=superuser", "--auth=reject"])
            // Sorts by bytes and needs no locale of the machine.
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

/// Runs a program to its end on some input, and returns what it printed.
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

/// The input is a line at most, so that it fits into the pipe before anybody reads.
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
