//! The same orders synchronously, asynchronously and both, through the same disturbances: see [`tests::compare`].

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tests::compare::{self, CompareArguments};

#[tokio::main]
async fn main() -> ExitCode {
    match compare::run(CompareArguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}
