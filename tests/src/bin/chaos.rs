//! Fault injection under load, followed by an audit: see [`tests::chaos`].

use std::process::ExitCode;

use clap::Parser as _;
use tests::chaos::{self, ChaosArguments};

#[tokio::main]
async fn main() -> ExitCode {
    match chaos::run(ChaosArguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}
