//! What each process of a stack is started with: program, arguments, environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::process::Launch;
use super::{Addresses, DataDirectory, Process, StackConfig, StackError};

/// How long a service may take to stop cleanly; it is told so, and killed a little later.
pub(super) const SHUTDOWN_GRACE_SECONDS: u64 = 20;

/// The embedded broker holds every fetch for its full wait, also one that finds something: a long wait would be the
/// latency of every event.
const EMBEDDED_FETCH_WAIT: &str = "20ms";

/// Makes the launches of one stack.
#[derive(Debug)]
pub(super) struct Launches<'a> {
    pub(super) config: &'a StackConfig,
    pub(super) directory: &'a DataDirectory,
    pub(super) addresses: &'a Addresses,
    pub(super) programs: &'a Path,
    pub(super) catalogue: &'a Path,
}

impl Launches<'_> {
    pub(super) fn of(&self, process: Process) -> Result<Launch, StackError> {
        let program = self.programs.join(process.name());
        if !program.is_file() {
            return Err(StackError::NotBuilt { path: program });
        }
        let (arguments, mut environment) = match process {
            Process::Orders => (Vec::new(), self.service(process, self.addresses.orders)),
            Process::Processing => (Vec::new(), self.processing()),
            Process::Broker => (self.broker_arguments(), Vec::new()),
        };
        // Last, so that it wins over what the stack says.
        environment.extend(self.config.environment_of(process));
        Ok(Launch {
            process,
            program,
            arguments,
            environment,
            // The databases are named relative to it, so that no path needs quoting in a URL.
            working_directory: self.directory.root().to_owned(),
            log_file: self.directory.log_file(process),
            process_file: self.directory.process_file(process),
        })
    }

    fn service(&self, process: Process, address: SocketAddr) -> Vec<(String, String)> {
        let mut environment = vec![
            variable("GRPC_LISTEN", address),
            variable("DATABASE_URL", format!("sqlite://{process}.db")),
            variable("KAFKA_BROKERS", &self.addresses.kafka),
            variable("SHUTDOWN_GRACE", format!("{SHUTDOWN_GRACE_SECONDS}s")),
        ];
        if self.config.kafka.is_none() {
            environment.push(variable("KAFKA_FETCH_WAIT", EMBEDDED_FETCH_WAIT));
        }
        if let Some(otlp) = &self.config.otlp {
            environment.push(variable("OTEL_EXPORTER_OTLP_ENDPOINT", otlp));
        }
        environment
    }

    fn processing(&self) -> Vec<(String, String)> {
        let mut environment = self.service(Process::Processing, self.addresses.processing);
        environment.push(variable("CATALOGUE_FILE", self.catalogue.display()));
        environment
    }

    fn broker_arguments(&self) -> Vec<String> {
        vec![
            "--listen".to_owned(),
            self.addresses.kafka.clone(),
            "--database".to_owned(),
            "broker.db".to_owned(),
        ]
    }
}

fn variable(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

/// Where the programs lie: beside the running one, or one up when that is a test in `target/PROFILE/deps`.
pub fn programs_directory() -> PathBuf {
    let directory = std::env::current_exe()
        .ok()
        .and_then(|path| path.parent().map(Path::to_owned))
        // Without a known place the lookup fails later, with a message that names the missing program.
        .unwrap_or_default();
    match directory.parent() {
        Some(parent) if directory.ends_with("deps") => parent.to_owned(),
        _ => directory,
    }
}
