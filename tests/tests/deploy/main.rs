//! The programs accept the configuration in `deploy/`: they are started with the arguments and the environment of the
//! manifests.
//!
//! Host names that exist only in a cluster and the paths of mounted files are replaced by stand-ins on this machine;
//! nothing else is changed. Schemas and lints are checked by `deploy/validate.sh`.
//!
//! Reading order: `settings` and `readiness` (running the programs); `kubernetes`, `rollout`, `apply_script`, `build_script`, `network`,
//! `flows`, `dev_overlay`, `staging_overlay`, `components`, `clusters`, `load_job`, `compose`, `compose_telemetry`, `images`, `observability`,
//! `dashboards` (checks of the files); `monitored` (the pair with the collector and Prometheus); then `manifests`, `secrets`,
//! `compose_file`, `queries` and `promql` (parsing), `launch`, `program`, `stand_ins` and `stand_in_program` (starting programs).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

mod apply_script;
mod build_script;
mod clusters;
mod components;
mod compose;
mod compose_file;
mod compose_telemetry;
mod dashboards;
mod dev_overlay;
mod flows;
mod images;
mod kubernetes;
mod launch;
mod load_job;
mod manifests;
mod monitored;
mod network;
mod observability;
mod program;
mod promql;
mod queries;
mod readiness;
mod rollout;
mod secrets;
mod settings;
mod staging_overlay;
mod stand_in_program;
mod stand_ins;

/// The services; also the names of their programs and images.
const SERVICES: [&str; 2] = ["order-service", "processing-service"];

/// Time of a stop beyond SHUTDOWN_GRACE: the flush of telemetry, see docs/configuration.md.
const TELEMETRY_FLUSH: Duration = Duration::from_secs(9);

fn project() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("the folder of the project").to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
