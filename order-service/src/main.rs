//! Runs order-service: command line, configuration, telemetry, then the application until a signal; telemetry is
//! flushed last.

use std::process::ExitCode;

use chassis::command_line::{EXIT_USAGE, Invocation};
use chassis::config::{ConfigError, EXIT_CODE as EXIT_CONFIG, Environment};
use chassis::shutdown;
use chassis::telemetry::{ServiceIdentity, Telemetry};
use order_service::app::App;
use order_service::config::Config;

const SERVICE: ServiceIdentity = ServiceIdentity {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    about: env!("CARGO_PKG_DESCRIPTION"),
};

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1);
    match Invocation::parse(arguments, &SERVICE, &Config::documentation()) {
        Invocation::Run => run().map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS),
        Invocation::Show(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Invocation::Unknown(message) => {
            eprintln!("{message}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Telemetry lives outside the runtime: it starts before it and is flushed when nothing can speak any more.
fn run() -> anyhow::Result<()> {
    let config = Config::from_source(&Environment)?;
    let telemetry = Telemetry::start(&config.telemetry, SERVICE)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let served = runtime.block_on(serve(config));
    // What did not stop within the grace period is cut off here instead of being waited for.
    runtime.shutdown_background();
    telemetry.shutdown();
    served
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal()?;
    let app = App::build(config).await?;
    Ok(app.run(shutdown).await?)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("{}: {error:#}", SERVICE.name);
    if error.is::<ConfigError>() {
        return ExitCode::from(EXIT_CONFIG);
    }
    ExitCode::FAILURE
}
