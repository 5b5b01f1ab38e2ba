//! A command-line client: places, shows, lists, watches and cancels orders, and reads the topics of both services.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use tests::orderctl::{self, OrderctlArguments};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = OrderctlArguments::parse();
    let (address, json) = (arguments.address.clone(), arguments.json);
    match orderctl::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(
                std::io::stderr(),
                "{}",
                orderctl::errors::text(&error, &address, json)
            );
            orderctl::errors::exit_code(&error)
        }
    }
}
