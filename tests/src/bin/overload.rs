//! What becomes of accepted work when more is asked for than can be done: see [`tests::overload`].

use std::process::ExitCode;

use clap::Parser as _;
use tests::overload::{self, OverloadArguments};

#[tokio::main]
async fn main() -> ExitCode {
    match overload::run(OverloadArguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overload: {error:#}");
            ExitCode::FAILURE
        }
    }
}
