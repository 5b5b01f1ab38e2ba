//! The subcommand `orders`: publishes the events of open orders again, for an operator, and lists who did so.
//!
//! For orders whose events or outcomes are gone, for example because the retention of a topic ended before they were read.
//! Safe for any open order: processing-service recognises an order that it has seen, and announces its outcomes again.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use service::command_line::{Command as CommandOfService, ExitError};
use service::config::{ConfigError, FromSetting as _};
use sql::database::{Database, DatabaseConfig};
use sql::migrations::Migrations;
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, sleep_until};

use crate::domain::{OrderId, Timestamp};
use crate::store::{self, AuditEntry, NotRepublished, OpenOrders, Publication, StoreError};

/// Orders per query.
const PAGE: u32 = 1_000;

/// Maximum length of an operator's name in the audit.
const MAX_ACTOR: usize = 200;

/// The arguments of `orders`.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(
    name = "orders",
    about = "Publishes the events of orders without a final state again",
    long_about = "Publishes the events of orders without a final state again, from their history.\n\n\
        It uses the database and the settings of the service (DATABASE_URL, see --help of the service). The service publishes \
        the events, now or when it runs.\n\n\
        Exit codes: 0 done, 1 refused or failed, 64 wrong usage, 78 wrong configuration.",
    subcommand_required = true,
    arg_required_else_help = false
)]
pub struct Orders {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Publish the events of orders again, with the same ids: OrderPlaced, and CancellationRequested if there was one
    Republish(Republish),
    /// List publications with their operators, latest first
    Audit(Audit),
}

#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Republish {
    #[command(flatten)]
    pub selection: Selection,
    /// Only print what would be published
    #[arg(long)]
    pub dry_run: bool,
    /// Maximum orders per second
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    pub per_second: u32,
    /// Name of the operator, for the audit
    #[arg(long, env = "USER", default_value = "unknown", value_parser = actor)]
    pub actor: String,
}

/// One order, or all old ones.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[group(required = true, multiple = false)]
pub struct Selection {
    /// The order
    #[arg(value_name = "ORDER_ID", value_parser = order_id)]
    pub order: Option<OrderId>,
    /// All orders that were placed this long ago and have no final state, for example 15m
    #[arg(long, value_name = "TIME", value_parser = Duration::from_setting)]
    pub open_for: Option<Duration>,
}

#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Maximum number of entries, up to 1000
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

fn order_id(text: &str) -> Result<OrderId, String> {
    OrderId::parse(text).map_err(|error| error.to_string())
}

/// Without control characters, since `audit` prints it.
fn actor(text: &str) -> Result<String, String> {
    let is_printable = !text.trim().is_empty() && !text.chars().any(char::is_control);
    if !is_printable || text.len() > MAX_ACTOR {
        return Err(format!("expected 1 to {MAX_ACTOR} bytes of printable text"));
    }
    Ok(text.to_owned())
}

/// Why a command failed, or is incomplete.
#[derive(Debug, Error)]
pub enum OrdersError {
    /// The output names them.
    #[error("{refused} of {all} were refused")]
    SomeRefused { refused: usize, all: usize },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("writing the output")]
    Output(#[from] io::Error),
}

/// The subcommand, for the command line of the service.
pub fn command(
    config: impl FnOnce() -> Result<DatabaseConfig, ConfigError> + 'static,
    migrations: Migrations,
    service: &'static str,
) -> CommandOfService {
    CommandOfService::with_arguments(Orders::command(), async move |matches| {
        let arguments = Orders::from_arg_matches(&matches).map_err(ExitError::failed)?;
        let database = Database::inspect(&config()?, migrations, service).await;
        let database = database.map_err(|error| {
            if error.is_configuration() {
                ExitError::configuration(error)
            } else {
                ExitError::failed(error)
            }
        })?;
        let orders = store::open_orders(&database);
        let done = execute(&arguments.command, &*orders, &mut io::stdout()).await;
        database.close().await;
        done.map_err(ExitError::failed)
    })
}

/// Runs one command and writes its output.
///
/// # Errors
/// [`OrdersError`]; orders that were published before it are in the output and in the audit.
pub async fn execute(
    command: &Command,
    orders: &dyn OpenOrders,
    output: &mut (dyn Write + Send),
) -> Result<(), OrdersError> {
    match command {
        Command::Republish(arguments) => republish(arguments, orders, output).await,
        Command::Audit(arguments) => {
            for entry in orders.audit(arguments.limit).await? {
                writeln!(output, "{}", line(&entry))?;
            }
            Ok(())
        }
    }
}

/// Each order once, by ascending id.
async fn republish(
    arguments: &Republish,
    orders: &dyn OpenOrders,
    output: &mut (dyn Write + Send),
) -> Result<(), OrdersError> {
    let placed_before = placed_before(arguments.selection.open_for.unwrap_or_default());
    let (mut all, mut published, mut refused) = (0, 0, 0);
    let mut page: Vec<OrderId> = arguments.selection.order.into_iter().collect();
    let is_one = !page.is_empty();
    loop {
        if !is_one {
            let after = page.last().copied();
            page = orders.list(placed_before, after, PAGE).await?;
        }
        for order_id in &page {
            let next = Instant::now() + pause(arguments);
            all += 1;
            match republish_one(*order_id, arguments, orders, output).await? {
                Ok(()) => published += 1,
                // Since the page was read.
                Err(NotRepublished::Final(..)) if !is_one => {}
                Err(_) => refused += 1,
            }
            sleep_until(next).await;
        }
        if is_one || page.is_empty() {
            break;
        }
    }
    writeln!(output, "{} {published} of {all} orders", verb(arguments))?;
    match refused {
        0 => Ok(()),
        refused => Err(OrdersError::SomeRefused { refused, all }),
    }
}

async fn republish_one(
    order_id: OrderId,
    arguments: &Republish,
    orders: &dyn OpenOrders,
    output: &mut (dyn Write + Send),
) -> Result<Result<(), NotRepublished>, OrdersError> {
    let publication = if arguments.dry_run {
        Publication::DryRun
    } else {
        Publication::By {
            actor: &arguments.actor,
            at: Timestamp::from(SystemTime::now()),
        }
    };
    let done = orders.republish(order_id, publication).await?;
    match &done {
        Ok(events) => {
            let names: Vec<_> = events.iter().map(|event| event.name()).collect();
            let verb = verb(arguments);
            writeln!(output, "{verb} {order_id}: {}", names.join(", "))?;
        }
        Err(reason) => writeln!(output, "not published: {reason}")?,
    }
    Ok(done.map(drop))
}

fn placed_before(open_for: Duration) -> Timestamp {
    let placed = SystemTime::now().checked_sub(open_for);
    Timestamp::from(placed.unwrap_or(SystemTime::UNIX_EPOCH))
}

fn verb(arguments: &Republish) -> &'static str {
    if arguments.dry_run {
        "would publish"
    } else {
        "published"
    }
}

fn pause(arguments: &Republish) -> Duration {
    if arguments.dry_run {
        return Duration::ZERO;
    }
    Duration::from_secs(1) / arguments.per_second
}

fn line(entry: &AuditEntry) -> String {
    let at = SystemTime::from(Timestamp::from_unix_millis(entry.at));
    let at = OffsetDateTime::from(at).format(&Rfc3339);
    let at = at.unwrap_or_else(|_| format!("{} ms after 1970", entry.at));
    let AuditEntry {
        actor,
        action,
        order_id,
        detail,
        ..
    } = entry;
    format!(
        "{at}  {actor}  {}  {order_id}  {detail}",
        action.to_lowercase()
    )
}

#[cfg(test)]
mod tests;
