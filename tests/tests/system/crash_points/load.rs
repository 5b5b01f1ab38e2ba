//! Orders of every kind, placed while something happens to the system: paid, declined, answered late or never, cancelled.

use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use proto::orders::v1::Order;
use tests::system::{Draft, System, eventually};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::Code;

/// Clients at once, each with one call open.
const CLIENTS: usize = 3;

/// Between the orders of one client: together some 60 orders a second.
const PACE: Duration = Duration::from_millis(50);

/// What the orders are paid with, in turn.
const TOKENS: [&str; 5] = [
    "tok_approved",
    "tok_declined",
    "tok_timeout_once",
    "tok_approved",
    "tok_unavailable",
];

/// Every third order is cancelled at once. The number has no divisor in common with that of the tokens, so that orders
/// with each token are cancelled.
const CANCELLED: usize = 3;

/// Has orders placed while `work` runs, and returns all that were confirmed, with what the work returned.
pub(super) async fn until_done<T>(
    system: &System,
    work: impl Future<Output = Result<T>>,
) -> Result<(Vec<Order>, T)> {
    let done = CancellationToken::new();
    let clients = try_join_all((0..CLIENTS).map(|client| place(system, client, &done)));
    let work = async {
        // Also when it fails: the clients end, and the error is seen.
        let _end = done.clone().drop_guard();
        work.await
    };
    let (orders, result) = tokio::try_join!(clients, work)?;
    Ok((orders.concat(), result))
}

async fn place(system: &System, client: usize, done: &CancellationToken) -> Result<Vec<Order>> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut orders = Vec::new();
    while !done.is_cancelled() {
        pace.tick().await;
        let number = client + orders.len();
        let draft = Draft::of("LAMP", 1).paid_with(TOKENS[number % TOKENS.len()]);
        let order = system.place_order_retrying(&draft).await?;
        if number.is_multiple_of(CANCELLED) {
            cancel(system, &order.order_id).await?;
        }
        orders.push(order);
    }
    Ok(orders)
}

/// Retries while the service is down. "Too late to cancel" is an answer too.
pub(super) async fn cancel(system: &System, order_id: &str) -> Result<()> {
    eventually("the cancellation is answered", async || {
        match system.cancel(order_id).await {
            Ok(_) => Ok(Some(())),
            Err(status) => match status.code() {
                Code::FailedPrecondition => Ok(Some(())),
                Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal => Ok(None),
                _ => Err(status.into()),
            },
        }
    })
    .await
}
