//! A private PostgreSQL server for a test binary or a local stack, from the installed binaries.
//!
//! ```no_run
//! # fn main() -> Result<(), postgres_server::ServerError> {
//! // In a test: one server for the whole binary, a database for each test.
//! let server = postgres_server::shared();
//! server.create_database("template")?;
//! // … migrate server.url("template") once …
//! let url = server.copy_of("template")?;
//! # Ok(())
//! # }
//! ```
//!
//! It listens on 127.0.0.1 only, on its own port, and requires a password (SCRAM). As root it runs as an unprivileged
//! user, because PostgreSQL refuses to run as root.
//!
//! A [`Server`] needs no cleanup: it ends with the process that started it, also when that is killed.
//!
//! It knows neither tables nor Rust drivers: the caller brings the driver.
//!
//! Reading order: `binaries` and `account` (prerequisites), [`cluster`] (the files and how they are served), `server`
//! (a server with the lifetime of its owner), `pgbouncer` (a connection pooler before it).

mod account;
mod binaries;
pub mod cluster;
mod error;
mod pgbouncer;
mod server;

pub use cluster::{Cluster, DEFAULT_DATABASE, PASSWORD, USER, url};
pub use error::ServerError;
pub use pgbouncer::{PgBouncer, PoolMode};
pub use server::{Server, shared};
