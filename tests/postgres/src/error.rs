//! Errors of a server start. Each message says how to fix it, because it is read in a terminal.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum ServerError {
    /// PostgreSQL is not installed, or not found.
    #[error(
        "the programs of a PostgreSQL server are not installed (looked in PG_BIN, /usr/lib/postgresql/*/bin and PATH): \
         on Debian `apt-get install postgresql`, elsewhere name their directory in PG_BIN"
    )]
    NotInstalled,
    /// PgBouncer is not installed, or not found.
    #[error(
        "PgBouncer is not installed (looked in /usr/sbin and PATH): on Debian `apt-get install pgbouncer`"
    )]
    NoPgBouncer,
    /// Root without an unprivileged account to use.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it as"
    )]
    NoAccount,
    /// The account cannot enter a parent directory.
    #[error(
        "PostgreSQL does not run as root, and the user {user} that runs it cannot enter {}: choose another directory, \
         such as one below /tmp",
        directory.display()
    )]
    Unreachable {
        user: String,
        /// The directory that it cannot enter.
        directory: PathBuf,
    },
    /// The directory cannot be used.
    #[error("cannot use {} for a PostgreSQL server", path.display())]
    Directory { path: PathBuf, source: io::Error },
    /// A program could not be started.
    #[error("cannot run {program}")]
    Run { program: String, source: io::Error },
    /// A program failed.
    #[error("{program} failed: {output}")]
    Failed { program: String, output: String },
    /// The server does not come up.
    #[error("the PostgreSQL server does not start; its log ends with:\n{log}")]
    NotReady { log: String },
    /// Another process took the port first.
    #[error("port {port} is taken")]
    PortTaken { port: u16 },
    /// No port is free.
    #[error("no free port found")]
    NoFreePort,
}
