//! Runs order-service: arguments, configuration, telemetry, then the application until a signal.

use std::process::ExitCode;

use anyhow::Context;
use chassis::config::{self, Environment};
use chassis::shutdown;
use chassis::telemetry::{ServiceIdentity, Telemetry};
use order_service::app::App;
use order_service::arguments::{self, Arguments};
use order_service::config::Config;

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)) {
        Arguments::Run => {}
        Arguments::Show(text) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Arguments::Unknown(message) => {
            eprintln!("{message}");
            return ExitCode::from(arguments::EXIT_CODE);
        }
    }
    let config = match Config::from_source(&Environment) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{}: {mistakes}", arguments::NAME);
            return ExitCode::from(config::EXIT_CODE);
        }
    };
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", arguments::NAME);
            ExitCode::FAILURE
        }
    }
}

/// Telemetry lives outside the runtime: it starts before it and is flushed when nothing can speak any more.
fn start(config: Config) -> anyhow::Result<()> {
    let identity = ServiceIdentity {
        name: arguments::NAME,
        version: arguments::VERSION,
    };
    let telemetry = Telemetry::start(&config.telemetry, identity).context("starting telemetry")?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let outcome = runtime.block_on(run(config));
    drop(runtime);
    telemetry.shutdown();
    outcome
}

async fn run(config: Config) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal().context("listening for signals")?;
    let app = App::build(config).await.context("starting")?;
    app.run(shutdown).await.context("running")
}
