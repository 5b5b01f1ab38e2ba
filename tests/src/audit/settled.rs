//! Waiting until the system has nothing left to do, so that the audit sees its final state.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Databases;

/// The last event of a run is published and applied within milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is not done yet in order-service: orders that are not final, events not published.
const UNSETTLED_ORDERS: &str = "
    SELECT (SELECT count(*) FROM orders WHERE status NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED'))
         + (SELECT count(*) FROM outbox)";

/// What is not done yet in processing-service: sagas under way, events not published.
const UNSETTLED_SAGAS: &str = "
    SELECT (SELECT count(*) FROM sagas WHERE state NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED'))
         + (SELECT count(*) FROM outbox)";

/// Waits until nothing is under way, and says whether that came to pass within `limit`. If it did not, the audit will
/// say in detail what is left.
pub async fn wait(databases: &Databases, limit: Duration) -> anyhow::Result<bool> {
    let deadline = Instant::now() + limit;
    let mut orders = databases.orders.reader().await?;
    let mut processing = databases.processing.reader().await?;
    loop {
        // In this order: what leaves the one is under way in the other.
        let left = orders.number(UNSETTLED_ORDERS).await?
            + processing.number(UNSETTLED_SAGAS).await?
            + orders.number(UNSETTLED_ORDERS).await?;
        if left == 0 {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(LOOK_EVERY).await;
    }
}
