//! Runs order-service. Without a subcommand: configuration, telemetry, then the application until a signal; telemetry is
//! flushed last.

use std::process::ExitCode;

use consumer::operator;
use grpc::probe;
use kafka::topics;
use order_service::app::App;
use order_service::config::Config;
use order_service::operator::{VOCABULARY, orders};
use order_service::store::MIGRATIONS;
use order_service::topics::WRITTEN;
use service::ServiceIdentity;
use service::command_line::ExitError;
use service::config::Configuration;
use service::shutdown;
use sql::database;
use telemetry::Telemetry;

const SERVICE: ServiceIdentity = ServiceIdentity {
    name: env!("CARGO_PKG_NAME"),
    version: order_service::VERSION,
    about: env!("CARGO_PKG_DESCRIPTION"),
};

fn main() -> ExitCode {
    let commands = vec![
        database::command(|| Ok(Config::from_environment()?.database), MIGRATIONS),
        topics::command(
            || Config::from_environment().map(|config| (config.kafka, config.topics)),
            &WRITTEN,
        ),
        probe::command(|| Ok(Config::from_environment()?.grpc)),
        operator::command(
            || Ok(Config::from_environment()?.database),
            MIGRATIONS,
            VOCABULARY,
        ),
        orders::command(
            || Ok(Config::from_environment()?.database),
            MIGRATIONS,
            SERVICE.name,
        ),
    ];
    service::command_line::main(SERVICE, &Config::documentation(), run, commands)
}

/// Telemetry starts before the runtime and is flushed after it has ended, so that nothing is emitted later.
fn run() -> Result<(), ExitError> {
    let config = Config::from_environment()?;
    let telemetry = Telemetry::start(&config.telemetry, SERVICE)?;
    let served = shutdown::run_until_signal(async |stop| {
        // Boxed: the future of the whole service takes 17 KB.
        Box::pin(App::build(config).await?.run(stop)).await
    });
    telemetry.shutdown();
    served
}
