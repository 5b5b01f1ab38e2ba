//! Waiting for a fact instead of sleeping for a while.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// Deadline of every wait. Seconds would do on an idle machine; a consumer group whose member was killed takes a session
/// timeout to come back, and the machine may be compiling something else.
pub const WAIT_LIMIT: Duration = Duration::from_secs(90);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks again and again until there is something, and returns it.
///
/// # Errors
/// When a look fails, or when nothing has come for [`WAIT_LIMIT`]: the message then names `what`.
pub async fn eventually<T>(what: &str, look: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + WAIT_LIMIT;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("waited {WAIT_LIMIT:?}, but it never came true: {what}");
        }
        sleep(PAUSE).await;
    }
}
