//! The process: read the settings, start telemetry, run the service until a signal, flush.

use std::process::ExitCode;

use chassis::config::{ConfigError, EXIT_CODE as EXIT_CONFIG, Environment};
use chassis::shutdown;
use chassis::telemetry::{ServiceIdentity, Telemetry};
use processing_service::app::{App, BuildError};
use processing_service::cli::{self, Invocation};
use processing_service::config::Config;

const SERVICE: ServiceIdentity = ServiceIdentity {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    match Invocation::parse(std::env::args().skip(1)) {
        Invocation::Run => {
            return run().map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS);
        }
        Invocation::Help => print!("{}", cli::help()),
        Invocation::Version => println!("{} {}", SERVICE.name, SERVICE.version),
        Invocation::Unknown(argument) => {
            eprintln!(
                "{}: unknown argument {argument:?}; see --help",
                SERVICE.name
            );
            return ExitCode::from(cli::EXIT_USAGE);
        }
    }
    ExitCode::SUCCESS
}

fn run() -> anyhow::Result<()> {
    let config = Config::from_source(&Environment)?;
    let telemetry = Telemetry::start(&config.telemetry, SERVICE)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let served = runtime.block_on(serve(&config));
    // What did not stop within the grace period is cut off here instead of being waited for.
    runtime.shutdown_background();
    telemetry.shutdown();
    served
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal()?;
    let app = App::build(config).await?;
    Ok(app.run(shutdown).await?)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("{}: {error:#}", SERVICE.name);
    // The catalogue is part of the configuration.
    let wrong_catalogue = matches!(error.downcast_ref(), Some(BuildError::Catalogue(_)));
    if wrong_catalogue || error.is::<ConfigError>() {
        return ExitCode::from(EXIT_CONFIG);
    }
    ExitCode::FAILURE
}
