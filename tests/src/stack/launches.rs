//! Program, arguments and environment of each process of a stack.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::apache_kafka::{ApacheKafka, PASSWORD, USER};
use super::database::StackPostgres;
use super::process::Launch;
use super::{DataDirectory, Process, Service, StackAddresses, StackConfig, StackError, tls};

/// SHUTDOWN_GRACE of a service; it is killed a little later.
pub(super) const SHUTDOWN_GRACE_SECONDS: u64 = 20;

/// Stop signal of an ordinary program; a clean exit code is 0.
const TERMINATE: (Signal, i32) = (Signal::SIGTERM, 0);

/// Stop signal of a Java program; it exits with 128 + 15, also after a clean stop.
const TERMINATE_JAVA: (Signal, i32) = (Signal::SIGTERM, 143);

/// PostgreSQL's "fast shutdown", which disconnects clients. On SIGTERM it would wait for them.
const SEND_CLIENTS_AWAY: (Signal, i32) = (Signal::SIGINT, 0);

#[derive(Debug)]
pub(super) struct Launches<'a> {
    pub(super) config: &'a StackConfig,
    pub(super) directory: &'a DataDirectory,
    pub(super) addresses: &'a StackAddresses,
    pub(super) programs: &'a Path,
    pub(super) catalogue: &'a Path,
    pub(super) apache_kafka: Option<&'a ApacheKafka>,
    pub(super) postgres: Option<&'a StackPostgres>,
}

impl Launches<'_> {
    pub(super) fn of(&self, process: Process) -> Result<Launch, StackError> {
        match process.service {
            Service::Orders | Service::Processing => self.service(process),
            Service::Broker => self.broker(process),
            Service::Database => self.database(process),
        }
    }

    /// The path of a program of this workspace.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf, StackError> {
        let program = self.programs.join(name);
        if program.is_file() {
            return Ok(program);
        }
        Err(StackError::NotBuilt { path: program })
    }

    fn service(&self, process: Process) -> Result<Launch, StackError> {
        let mut environment = self.settings(process.service);
        environment.push(variable("GRPC_LISTEN", self.addresses.grpc(process)));
        // Last, so that it overrides the stack's settings.
        environment.extend(self.config.environment_of(process.service));
        Ok(Launch {
            environment,
            ..self.plain(process, self.program(process.service.name())?)
        })
    }

    fn broker(&self, process: Process) -> Result<Launch, StackError> {
        if let Some(kafka) = self.apache_kafka {
            return Ok(Launch {
                arguments: kafka.arguments(),
                stop: TERMINATE_JAVA,
                ..self.plain(process, kafka.program())
            });
        }
        let advertised = self.addresses.kafka_of_services();
        let arguments = [
            ["--listen", &self.addresses.kafka],
            ["--advertise", &advertised],
            ["--database", "broker.db"],
        ];
        Ok(Launch {
            arguments: arguments.concat().into_iter().map(Into::into).collect(),
            ..self.plain(process, self.program("embedded-broker")?)
        })
    }

    fn database(&self, process: Process) -> Result<Launch, StackError> {
        let postgres = self.postgres.ok_or(StackError::NoPostgres)?;
        let mut arguments = postgres.arguments(process);
        for (name, value) in &self.config.database_settings {
            arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        Ok(Launch {
            arguments,
            // The server may run as a user without access to the parents of the data directory.
            working_directory: PathBuf::from("/"),
            run_as: postgres.run_as(process),
            stop: SEND_CLIENTS_AWAY,
            ..self.plain(process, postgres.program(process))
        })
    }

    fn plain(&self, process: Process, program: PathBuf) -> Launch {
        Launch {
            process,
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            // Database paths are relative to it, so that no path needs quoting in a URL.
            working_directory: self.directory.root().to_owned(),
            log_file: self.directory.log_file(process),
            process_file: self.directory.process_file(process),
            run_as: None,
            stop: TERMINATE,
        }
    }

    /// The settings that all replicas of a service and its subcommands share.
    pub(super) fn settings(&self, service: Service) -> Vec<(String, String)> {
        let database = match self.addresses.database_of_services() {
            Some(address) => super::database::url(address, service),
            None => format!("sqlite://{service}.db"),
        };
        let mut settings = vec![
            variable("DATABASE_URL", database),
            variable("SHUTDOWN_GRACE", format!("{SHUTDOWN_GRACE_SECONDS}s")),
        ];
        settings.extend(self.kafka_settings());
        if let Some(otlp) = &self.config.otlp {
            settings.push(variable("OTEL_EXPORTER_OTLP_ENDPOINT", otlp));
        }
        if let Some(sampling) = self.config.sampling {
            settings.push(variable("OTEL_TRACES_SAMPLER_ARG", sampling));
        }
        match service {
            Service::Orders => {
                let replicas = self.addresses.processing_of_orders().join(",");
                settings.push(variable("PROCESSING_ADDRESS", replicas));
            }
            Service::Processing => {
                settings.push(variable("CATALOGUE_FILE", self.catalogue.display()));
            }
            Service::Broker | Service::Database => {}
        }
        settings
    }

    fn kafka_settings(&self) -> Vec<(String, String)> {
        let mut settings = match self.addresses.kafka_secured {
            None => vec![variable(
                "KAFKA_BROKERS",
                self.addresses.kafka_of_services(),
            )],
            Some(address) => {
                let brokers = variable("KAFKA_BROKERS", address);
                std::iter::once(brokers)
                    .chain(secured_settings(self.directory.root()))
                    .collect()
            }
        };
        settings.extend(self.config.engines.broker.settings());
        settings.push(variable("KAFKA_TOPIC_PREFIX", &self.config.topic_prefix));
        settings.extend(self.config.broker_settings.iter().cloned());
        settings
    }
}

/// The TLS and SCRAM settings of a service.
fn secured_settings(data_dir: &Path) -> [(String, String); 5] {
    [
        variable("KAFKA_SECURITY_PROTOCOL", "sasl_ssl"),
        variable("KAFKA_CA_FILE", tls::authority(data_dir).display()),
        variable("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        variable("KAFKA_SASL_USERNAME", USER),
        variable("KAFKA_SASL_PASSWORD", PASSWORD),
    ]
}

fn variable(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}
