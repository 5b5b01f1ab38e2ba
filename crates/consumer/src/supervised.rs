//! Runs the tasks of a consumer so that none dies silently.
//!
//! A panic of a handler is a failure of its event (`attempts.rs`). A panic anywhere else would leave a partition, a key or a
//! row of the retry store without a task while the process looks healthy. It stops the consumer with
//! [`ConsumerError::Panicked`], and thereby the service; the next start begins guarded.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::sync::mpsc;

use crate::poll::ConsumerError;

/// Runs `work`; a panic in it stops the consumer that receives `fatal`, and the result is `None`.
pub(crate) async fn supervised<T>(
    name: &'static str,
    fatal: mpsc::Sender<ConsumerError>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await.ok();
    if done.is_none() {
        tracing::error!(task = name, "consumer task panicked, consumer stops");
        // The consumer stops with the first fatal error; later ones are dropped.
        let _ = fatal.try_send(ConsumerError::Panicked(name));
    }
    done
}
