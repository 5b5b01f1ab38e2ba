//! `orderctl watch`: an order's history, then every event as it happens, until the order is final.

use std::time::Duration;

use proto::orders::v1::OrderHistoryEntry;
use tokio::time::Instant;

use super::context::CallContext;
use super::events;
use crate::client::watch::{Watch, WatchError};

/// Longer than any interactive watch, which ends with Ctrl-C.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Show an order's history and follow it until it is final.
#[derive(Debug, clap::Args)]
pub(super) struct WatchArguments {
    /// Order id.
    order_id: String,

    /// Skip the events up to this version.
    #[arg(
        long,
        default_value_t = 0,
        value_name = "VERSION",
        allow_negative_numbers = true
    )]
    after: i64,
}

pub(super) async fn run(context: CallContext, arguments: WatchArguments) -> anyhow::Result<()> {
    follow(&context, &arguments.order_id, arguments.after).await
}

pub(super) async fn follow(
    context: &CallContext,
    order_id: &str,
    after: i64,
) -> anyhow::Result<()> {
    let watch = Watch::new(context.client.clone(), order_id, after);
    let watch = watch.with_token(context.token.clone());
    let show = |entry: &OrderHistoryEntry| events::print(entry, context.json);
    match watch.until_final(Instant::now() + LONGEST, show).await {
        // The order was final already, and its history has been printed.
        Err(WatchError::Ended { version }) if version == after => Ok(()),
        Err(WatchError::Refused(failure)) => Err(failure.into()),
        end => Ok(end?),
    }
}
