//! PgBouncer before a PostgreSQL server: a connection pooler with the lifetime of the process that started it.

use std::env;
use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::Instant;

use tempfile::TempDir;

use crate::ServerError;
use crate::account::Account;
use crate::cluster::{PASSWORD, USER, url};
use crate::server::{
    LOG, PAUSE, READY_WITHIN, free_port, own_directory, start_watched, tail, watched,
};

/// Debian installs it outside the PATH of an ordinary user.
const DEBIAN: &str = "/usr/sbin";

/// The immediate shutdown; it ignores SIGQUIT.
const IMMEDIATE: &str = "TERM";

/// When PgBouncer lends a connection to the server to another client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PoolMode {
    /// When the client disconnects.
    Session,
    /// After each transaction.
    Transaction,
    /// After each statement.
    Statement,
}

/// A running PgBouncer. It ends when it is dropped or when this process ends.
#[derive(Debug)]
pub struct PgBouncer {
    watch: Child,
    port: u16,
    directory: TempDir,
}

impl PgBouncer {
    /// Whether it is installed.
    pub fn is_installed() -> bool {
        program().is_some()
    }

    /// Starts it before the server at this port, and returns when it accepts connections.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(server: u16, mode: PoolMode) -> Result<Self, ServerError> {
        let program = program().ok_or(ServerError::NoPgBouncer)?;
        let account = Account::choose()?;
        let directory = own_directory()?;
        let port = free_port()?;
        let settings = write_settings(directory.path(), port, server, mode);
        let settings = settings.map_err(|source| ServerError::Directory {
            path: directory.path().to_owned(),
            source,
        })?;
        let mut command = watched(directory.path(), IMMEDIATE);
        command.arg(program).arg(settings);
        let watch = start_watched(account.run_as(&mut command).current_dir("/"))?;
        let pooler = Self {
            watch,
            port,
            directory,
        };
        pooler.wait_until_ready()?;
        Ok(pooler)
    }

    /// The URL of a database of the server through this pooler, with user and password.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    fn wait_until_ready(&self) -> Result<(), ServerError> {
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if Instant::now() > deadline {
                let log = tail(&self.directory.path().join(LOG));
                return Err(ServerError::NotReady { log });
            }
            sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        // Fails only if another part of the process has reaped the child.
        let _ = self.watch.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain([PathBuf::from(DEBIAN)]);
    let mut programs = directories.map(|directory| directory.join("pgbouncer"));
    programs.find(|program| program.is_file())
}

/// Its defaults, except for the addresses, the login and the mode.
fn write_settings(directory: &Path, port: u16, server: u16, mode: PoolMode) -> io::Result<PathBuf> {
    let users = directory.join("users.txt");
    fs::write(&users, format!("\"{USER}\" \"{PASSWORD}\"\n"))?;
    let mode = match mode {
        PoolMode::Session => "session",
        PoolMode::Transaction => "transaction",
        PoolMode::Statement => "statement",
    };
    let settings = format!(
        "[databases]\n\
         * = host=127.0.0.1 port={server}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = scram-sha-256\n\
         auth_file = {}\n\
         pool_mode = {mode}\n",
        users.display()
    );
    let file = directory.join("pgbouncer.ini");
    fs::write(&file, settings)?;
    Ok(file)
}
