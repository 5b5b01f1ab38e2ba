//! Fault injection under load, followed by an audit: see [`tests::chaos`].

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tests::chaos::{self, ChaosArguments};

#[tokio::main]
async fn main() -> ExitCode {
    match chaos::run(ChaosArguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}
