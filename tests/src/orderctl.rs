//! `orderctl`: order-service and its topics from the command line.
//!
//! One subcommand is one file. Every unary call has a deadline; nothing is tried again behind the person's back, except
//! that a watch which breaks is resumed. Results go to standard output, errors to standard error, both as JSON if asked.

mod cancel;
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
pub struct Arguments {
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

    /// Seconds that a call may take.
    #[arg(long, global = true, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    timeout: f64,

    /// File with the bearer token to show, where order-service wants one.
    #[arg(long, global = true, env = "ORDERCTL_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Place(place::Arguments),
    Get(get::Arguments),
    List(list::Arguments),
    Watch(watch::Arguments),
    Cancel(cancel::Arguments),
    Topic(topic::Arguments),
}

/// What every subcommand needs to call order-service and to print.
struct Context {
    client: OrderClient,
    token: Option<BearerToken>,
    timeout: Duration,
    json: bool,
}

/// Does what the command line says.
///
/// # Errors
/// Whatever kept it from being done; [`errors`] has the words and the exit code.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let token = arguments.token_file.as_deref().map(BearerToken::read);
    let context = Context {
        token: token.transpose()?,
        client: OrderClient::new(connect(&arguments.address)?),
        timeout: Duration::from_secs_f64(arguments.timeout),
        json: arguments.json,
    };
    match arguments.command {
        Command::Place(arguments) => place::run(context, arguments).await,
        Command::Get(arguments) => get::run(context, arguments).await,
        Command::List(arguments) => list::run(context, arguments).await,
        Command::Watch(arguments) => watch::run(context, arguments).await,
        Command::Cancel(arguments) => cancel::run(context, arguments).await,
        Command::Topic(arguments) => topic::run(arguments, context.json).await,
    }
}

impl Context {
    /// A request with the token and a deadline, so that the service stops working on it when the caller no longer
    /// waits.
    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(self.timeout);
        if let Some(token) = &self.token {
            token.show(&mut request);
        }
        request
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
