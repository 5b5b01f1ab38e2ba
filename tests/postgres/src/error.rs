//! Why there is no server. Each message says what to do about it, because a person reads it in a terminal.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is no server.
#[derive(Debug, Error)]
pub enum ServerError {
    /// PostgreSQL is not installed, or hidden.
    #[error(
        "the programs of a PostgreSQL server are not installed (looked in PG_BIN, /usr/lib/postgresql/*/bin and PATH): \
         on Debian `apt-get install postgresql`, elsewhere name their directory in PG_BIN"
    )]
    NotInstalled,
    /// A root without an account to step down to.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it as"
    )]
    NoAccount,
    /// The account cannot enter a directory on the way.
    #[error(
        "PostgreSQL does not run as root, and the user {user} that runs it cannot enter {}: choose another directory, \
         such as one below /tmp",
        directory.display()
    )]
    Unreachable {
        /// The account.
        user: String,
        /// What it cannot enter.
        directory: PathBuf,
    },
    /// The directory cannot be used.
    #[error("cannot use {} for a PostgreSQL server", path.display())]
    Directory {
        /// The directory or a file in it.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// A program did not do what it should.
    #[error("{program} failed: {output}")]
    Failed {
        /// The program.
        program: String,
        /// What it said.
        output: String,
    },
    /// The server does not come up.
    #[error("the PostgreSQL server does not start; its log ends with:\n{log}")]
    NotReady {
        /// The end of its log.
        log: String,
    },
    /// Somebody else took the port first.
    #[error("port {port} is taken")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// No port is free.
    #[error("no free port found")]
    NoFreePort,
}
