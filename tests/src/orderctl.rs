//! `orderctl`: order-service and its topics from the command line.
//!
//! One file per subcommand. Every unary call has a deadline; there are no retries, except that a broken watch is
//! resumed. Results go to standard output, errors to standard error, both as JSON on request.

mod cancel;
mod context;
mod get;
mod list;
mod order_line;
mod place;
mod topic;
mod watch;

pub mod errors;
mod events;
mod orders;
mod output;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use self::context::CallContext;
use crate::client::OrderClient;
use crate::client::connections::connect;
use crate::client::token::BearerToken;

/// A client of order-service: place, show, list, watch and cancel orders, and read the topics.
#[derive(Debug, Parser)]
#[command(
    name = "orderctl",
    version,
    after_help = "Exit codes: 0 done; 1 order-service refused; 2 wrong usage; 3 no answer that stays (unavailable, too \
                  late); 4 anything else."
)]
pub struct OrderctlArguments {
    /// Address of order-service.
    #[arg(
        long,
        global = true,
        env = "ORDERCTL_ADDRESS",
        default_value = "http://127.0.0.1:50051",
        value_name = "URL"
    )]
    pub address: String,

    /// Print JSON: one object, or one per line where several come.
    #[arg(long, global = true)]
    pub json: bool,

    /// Timeout of a call in seconds.
    #[arg(long, global = true, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    timeout: f64,

    /// File with the bearer token, if order-service requires one.
    #[arg(long, global = true, env = "ORDERCTL_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    #[command(subcommand)]
    command: OrderctlCommand,
}

#[derive(Debug, Subcommand)]
enum OrderctlCommand {
    Place(place::PlaceArguments),
    Get(get::GetArguments),
    List(list::ListArguments),
    Watch(watch::WatchArguments),
    Cancel(cancel::CancelArguments),
    Topic(topic::TopicArguments),
}

/// Runs the subcommand.
///
/// # Errors
/// The error of the subcommand; [`errors`] maps it to text and exit code.
pub async fn run(arguments: OrderctlArguments) -> anyhow::Result<()> {
    let token = arguments.token_file.as_deref().map(BearerToken::read);
    let context = CallContext {
        token: token.transpose()?,
        client: OrderClient::new(connect(&arguments.address)?),
        timeout: Duration::from_secs_f64(arguments.timeout),
        json: arguments.json,
    };
    match arguments.command {
        OrderctlCommand::Place(arguments) => place::run(context, arguments).await,
        OrderctlCommand::Get(arguments) => get::run(context, arguments).await,
        OrderctlCommand::List(arguments) => list::run(context, arguments).await,
        OrderctlCommand::Watch(arguments) => watch::run(context, arguments).await,
        OrderctlCommand::Cancel(arguments) => cancel::run(context, arguments).await,
        OrderctlCommand::Topic(arguments) => topic::run(arguments, context.json).await,
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let day = 86_400.0;
    let seconds: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.001..=day).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("expected 0.001 to 86400".to_owned())
    }
}

#[cfg(test)]
mod tests;
