//! The effect on clients of order-service while processing-service is down, frozen, or slow: see [`tests::neighbours`].

use std::process::ExitCode;

use clap::Parser as _;
use tests::neighbours::{self, NeighboursArguments};

#[tokio::main]
async fn main() -> ExitCode {
    match neighbours::run(NeighboursArguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("neighbours: {error:#}");
            ExitCode::FAILURE
        }
    }
}
