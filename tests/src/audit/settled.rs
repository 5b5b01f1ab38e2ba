//! Waiting until the system has nothing left to do, so that the audit sees its final state.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Databases;
use super::evidence::connect;

/// The last event of a run is published and applied within milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is not done yet: orders that are not final, sagas under way, events not published.
const UNSETTLED: &str = "
    SELECT (SELECT count(*) FROM orders WHERE status NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED'))
         + (SELECT count(*) FROM processing.sagas WHERE state NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED'))
         + (SELECT count(*) FROM main.outbox)
         + (SELECT count(*) FROM processing.outbox)";

/// Waits until nothing is under way, and says whether that came to pass within `limit`. If it did not, the audit will
/// say in detail what is left.
pub async fn wait(databases: &Databases, limit: Duration) -> anyhow::Result<bool> {
    let deadline = Instant::now() + limit;
    let mut connection = connect(databases).await?;
    loop {
        let left: i64 = sqlx::query_scalar(UNSETTLED)
            .fetch_one(&mut connection)
            .await?;
        if left == 0 {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(LOOK_EVERY).await;
    }
}
