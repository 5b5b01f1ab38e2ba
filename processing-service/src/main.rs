//! Runs processing-service: command line, configuration, telemetry, then the application until a signal; telemetry is
//! flushed last. `migrate`, `topics`, `probe` and `dead-letters` do one thing instead and end.

use std::process::ExitCode;

use chassis::command_line::dead_letters::DeadLetters;
use chassis::command_line::{EXIT_USAGE, Invocation};
use chassis::config::{ConfigError, EXIT_CODE as EXIT_CONFIG, Environment};
use chassis::database::{self, MigrationError};
use chassis::operator::{self, OperatorError};
use chassis::probe;
use chassis::shutdown;
use chassis::telemetry::{ServiceIdentity, Telemetry, process};
use chassis::topics::{self, TopicReport};
use processing_service::app::{App, BuildError, RunError};
use processing_service::config::Config;
use processing_service::operator::VOCABULARY;
use processing_service::store::MIGRATIONS;
use processing_service::topics::WRITTEN;
use tokio::runtime::{Handle, Runtime};

const SERVICE: ServiceIdentity = ServiceIdentity {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: env!("CARGO_PKG_DESCRIPTION"),
};

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1);
    let done = match Invocation::parse(arguments, &SERVICE, &Config::documentation()) {
        Invocation::Run => run(),
        Invocation::Migrate => migrate(),
        Invocation::Topics => create_topics(),
        Invocation::Probe => ask(),
        Invocation::DeadLetters(arguments) => dead_letters(&arguments),
        Invocation::Show(text) => {
            println!("{text}");
            Ok(())
        }
        Invocation::Unknown(message) => {
            eprintln!("{message}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    done.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

/// Telemetry lives outside the runtime: it starts before it and is flushed when nothing can speak any more.
fn run() -> anyhow::Result<()> {
    let config = Config::from_source(&Environment)?;
    let telemetry = Telemetry::start(&config.telemetry, SERVICE)?;
    let runtime = Runtime::new()?;
    let served = runtime.block_on(serve(config));
    // What did not stop within the grace period is cut off here instead of being waited for.
    runtime.shutdown_background();
    telemetry.shutdown();
    served
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal()?;
    let app = App::build(&config).await?;
    app.observe();
    process::observe(&Handle::current());
    Ok(app.run(shutdown).await?)
}

fn migrate() -> anyhow::Result<()> {
    let config = Config::from_source(&Environment)?;
    let migrated = Runtime::new()?.block_on(database::migrate(&config.database, MIGRATIONS))?;
    println!("{migrated}");
    Ok(())
}

fn create_topics() -> anyhow::Result<()> {
    let config = Config::from_source(&Environment)?;
    let created = topics::create(&config.kafka, config.topics, &WRITTEN);
    let reports = Runtime::new()?.block_on(created)?;
    for report in &reports {
        println!("{report}");
    }
    let as_asked = reports.iter().all(TopicReport::is_as_asked);
    anyhow::ensure!(as_asked, "a topic exists otherwise than asked for");
    Ok(())
}

/// Whether the service that runs with these settings is ready.
fn ask() -> anyhow::Result<()> {
    let config = Config::from_source(&Environment)?;
    Ok(Runtime::new()?.block_on(probe::ask(&config.grpc))?)
}

fn dead_letters(arguments: &DeadLetters) -> anyhow::Result<()> {
    let config = Config::from_source(&Environment)?;
    let done = operator::run(arguments, &config.database, MIGRATIONS, VOCABULARY);
    Ok(Runtime::new()?.block_on(done)?)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("{}: {error:#}", SERVICE.name);
    if is_configuration(error) {
        return ExitCode::from(EXIT_CONFIG);
    }
    ExitCode::FAILURE
}

/// Whether a human has to change a setting, or what it points to.
fn is_configuration(error: &anyhow::Error) -> bool {
    error.is::<ConfigError>()
        || matches!(error.downcast_ref(), Some(BuildError::Catalogue(_)))
        || matches!(error.downcast_ref(), Some(RunError::Database(_)))
        || matches!(error.downcast_ref(), Some(MigrationError::Unusable(_)))
        || matches!(error.downcast_ref(), Some(OperatorError::Inspection(found)) if found.is_configuration())
}
