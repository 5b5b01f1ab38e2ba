//! Waits until a stack is idle, so that the audit sees its final state.

use std::time::Duration;

use anyhow::{Context as _, Result};
use auditor::topics::GROUPS;
use tokio::time::{Instant, sleep};

use crate::stack::{ConsumerLag, Stack};

/// Poll interval. The last event of a run is published and applied within milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Timeout of one broker call.
const ANSWER: Duration = Duration::from_secs(10);

/// Unfinished work in order-service: orders that are not final, events not published.
const UNSETTLED_ORDERS: &str = "
    SELECT (SELECT count(*) FROM orders WHERE status NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED'))
         + (SELECT count(*) FROM outbox)";

/// Unfinished work in processing-service: sagas in progress, events not published.
const UNSETTLED_SAGAS: &str = "
    SELECT (SELECT count(*) FROM sagas WHERE state NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED'))
         + (SELECT count(*) FROM outbox)";

/// Waits until no work is in progress and all offsets are committed. Returns false after `limit`.
pub async fn wait(stack: &Stack, limit: Duration) -> Result<bool> {
    let deadline = Instant::now() + limit;
    Ok(databases(stack, deadline).await? && offsets(stack, deadline).await?)
}

async fn databases(stack: &Stack, deadline: Instant) -> Result<bool> {
    let databases = stack.databases();
    let mut orders = databases.orders.reader().await?;
    let mut processing = databases.processing.reader().await?;
    until(deadline, async || {
        // Order matters: work that leaves one service appears in the other.
        let left = orders.number(UNSETTLED_ORDERS).await?
            + processing.number(UNSETTLED_SAGAS).await?
            + orders.number(UNSETTLED_ORDERS).await?;
        Ok(left == 0)
    })
    .await
}

/// A record without effect, such as a duplicate, is visible only in the committed offset.
async fn offsets(stack: &Stack, deadline: Instant) -> Result<bool> {
    for (topic, group) in GROUPS {
        let lag = ConsumerLag::of(stack, topic, group, ANSWER)?;
        let consumed = until(deadline, async || Ok(lag.records().await? == 0));
        let consumed = consumed.await;
        if !consumed.with_context(|| format!("cannot read the offsets of {group} on {topic}"))? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn until(deadline: Instant, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<bool> {
    loop {
        if is_so().await? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(LOOK_EVERY).await;
    }
}
