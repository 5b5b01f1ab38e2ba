//! What `deploy/` says is what the programs do: they are started with the arguments and the environment that the
//! manifests give them.
//!
//! Host names that exist only in a cluster and the paths of mounted files are replaced by stand-ins on this machine;
//! nothing else is changed. Schemas and lints are the business of `deploy/validate.sh`.
//!
//! Reading order: `settings` and `readiness` (the programs), `kubernetes`, `network`, `components`, `compose`, `images`,
//! `observability` (what is written about them); below them `manifests`, `secrets`, `compose_file` and `promql` (reading),
//! `launch` (what is started), `program` and `stand_ins` (starting it).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

mod components;
mod compose;
mod compose_file;
mod images;
mod kubernetes;
mod launch;
mod manifests;
mod network;
mod observability;
mod program;
mod promql;
mod readiness;
mod secrets;
mod settings;
mod stand_ins;

/// The services, which are also the names of their programs and images.
const SERVICES: [&str; 2] = ["order-service", "processing-service"];

/// What a stop may take beyond SHUTDOWN_GRACE: three flushes of telemetry, see docs/configuration.md.
const TELEMETRY_FLUSH: Duration = Duration::from_secs(9);

fn project() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("the folder of the project").to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
