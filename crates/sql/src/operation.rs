//! One operation of a store, on either engine: observed, bounded in time, and retried on a conflict.

use std::time::Duration;

use crate::error::{Classified, ErrorClass};
use crate::statements::Statement;
use service::backoff::Backoff;

/// Longer than `statement_timeout` of the server.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(7);

/// Conflicts are rare and short: a few retries, without long delays.
const CONFLICT_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(5),
    cap: Duration::from_millis(100),
};
const CONFLICT_ATTEMPTS: u32 = 8;

/// Runs a batch of commands: observed as `statement`, with the timeout and the retries of [`retry_conflicts`]. Boxed: with
/// the copies in its wrappers, such a future takes 27 KB.
pub async fn run<T, E, F>(
    statement: &Statement,
    commands: usize,
    attempt: impl FnMut() -> F,
) -> Result<T, E>
where
    E: Classified + From<sqlx::Error> + std::error::Error + 'static,
    F: Future<Output = Result<T, E>>,
{
    let attempts = Box::pin(retry_conflicts(attempt));
    statement.run_batch(commands, attempts).await
}

/// Runs an operation with a timeout per attempt ([`bounded`]) and retries it on a conflict with another transaction. The
/// operation must be one transaction or one statement. SQLite, with its single writer, never reports a conflict.
///
/// # Errors
/// The error of the last attempt. After a timeout it is unknown whether the operation took effect.
pub async fn retry_conflicts<T, E, F>(mut attempt: impl FnMut() -> F) -> Result<T, E>
where
    E: Classified + From<sqlx::Error> + std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    for number in 1..CONFLICT_ATTEMPTS {
        match bounded(attempt()).await {
            Err(error) if error.class() == ErrorClass::Conflict => {
                tracing::debug!(attempt = number, error = %error, "transaction conflict, retrying");
                tokio::time::sleep(CONFLICT_BACKOFF.delay(number)).await;
            }
            done => return done,
        }
    }
    bounded(attempt()).await
}

/// Times an operation out after [`OPERATION_TIMEOUT`].
pub async fn bounded<T, E: From<sqlx::Error>>(
    operation: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let done = tokio::time::timeout(OPERATION_TIMEOUT, operation).await;
    done.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()))
}
