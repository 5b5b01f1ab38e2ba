//! Accepted and refused calls of order-service at three times its sustainable load: see [`tests::overload`].

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
