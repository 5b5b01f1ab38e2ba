//! Load test of order-service, alone or in any deployment: see [`tests::load`].

use std::process::ExitCode;

use clap::Parser as _;
use tests::load::{self, OrdersLoadArguments};

#[tokio::main]
async fn main() -> ExitCode {
    load::run(OrdersLoadArguments::parse()).await
}
