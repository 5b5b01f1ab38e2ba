//! Polling for a condition instead of sleeping.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// Deadline of every wait. Seconds suffice on an idle machine; a consumer group with a killed member needs a session
/// timeout to recover, and the machine may be busy.
pub const WAIT_LIMIT: Duration = Duration::from_secs(90);

/// Poll interval.
const PAUSE: Duration = Duration::from_millis(25);

/// Polls until `look` returns a value, and returns it.
///
/// # Errors
/// When a poll fails, or when there is no value within [`WAIT_LIMIT`]: the message then names `condition`.
pub async fn eventually<T>(
    condition: &str,
    look: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + WAIT_LIMIT;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("not true within {WAIT_LIMIT:?}: {condition}");
        }
        sleep(PAUSE).await;
    }
}
