//! The figures of the pair beside their targets: see [`tests::bench`].

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tests::bench::{self, BenchArguments};

#[tokio::main]
async fn main() -> ExitCode {
    match bench::run(BenchArguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
