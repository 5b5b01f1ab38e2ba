//! The programs accept the configuration in `deploy/`: they are started with the arguments and the environment of the
//! manifests.
//!
//! Host names that exist only in a cluster and the paths of mounted files are replaced by stand-ins on this machine;
//! nothing else is changed. Schemas and lints are checked by `deploy/validate.sh`.
//!
//! Reading order: `settings` and `readiness` (running the programs), `kubernetes`, `network`, `components`, `compose`,
//! `images`, `observability` (checks of the files), `monitored` (the pair with the collector and Prometheus); then
//! `manifests`, `secrets`, `compose_file`, `queries` and `promql` (parsing), `launch`, `program` and `stand_ins` (starting
//! programs).

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
mod monitored;
mod network;
mod observability;
mod program;
mod promql;
mod queries;
mod readiness;
mod secrets;
mod settings;
mod stand_ins;

/// The services; also the names of their programs and images.
const SERVICES: [&str; 2] = ["order-service", "processing-service"];

/// Time of a stop beyond SHUTDOWN_GRACE: three flushes of telemetry, see docs/configuration.md.
const TELEMETRY_FLUSH: Duration = Duration::from_secs(9);

fn project() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("the folder of the project").to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
