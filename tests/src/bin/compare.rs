//! The same orders synchronously, asynchronously and both, through the same disturbances: see [`tests::compare`].

use std::process::ExitCode;

use clap::Parser as _;
use tests::compare::{self, CompareArguments};

#[tokio::main]
async fn main() -> ExitCode {
    match compare::run(CompareArguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}
