//! When an attempt may start: [`ConcurrencyLimit`] bounds the in-flight attempts of a consumer, [`DrainTokens`] end the
//! attempts and the retries of one partition session.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// In-flight attempts of a consumer, over all its partitions and its sweeper.
#[derive(Clone, Debug)]
pub(crate) struct ConcurrencyLimit {
    permits: Arc<Semaphore>,
    max_in_flight: u32,
}

impl ConcurrencyLimit {
    pub(crate) fn new(max_in_flight: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(max_in_flight)),
            max_in_flight: u32::try_from(max_in_flight).unwrap_or(u32::MAX),
        }
    }

    /// The permit for one attempt; `None` if draining began before.
    pub(crate) async fn acquire(&self, drain: &DrainTokens) -> Option<OwnedSemaphorePermit> {
        if drain.is_draining() {
            return None;
        }
        // The usual case, without a wait to set up. It overtakes no waiting attempt: those hold every free permit.
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => self.acquire_many(1, drain).await,
        }
    }

    /// The permit for the only attempt in this process.
    pub(crate) async fn acquire_all(&self, drain: &DrainTokens) -> Option<OwnedSemaphorePermit> {
        self.acquire_many(self.max_in_flight, drain).await
    }

    async fn acquire_many(&self, count: u32, drain: &DrainTokens) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = drain.0.draining.cancelled() => None,
            permit = Arc::clone(&self.permits).acquire_many_owned(count) => permit.ok(),
        }
    }
}

/// The two steps at the end of a partition session, or of the sweeper. Clones share one allocation: the tokens themselves
/// count their clones under a lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct DrainTokens(Arc<Tokens>);

#[derive(Debug, Default)]
struct Tokens {
    /// Cancelled when no new attempt may start: backoff and waits for a permit end.
    draining: CancellationToken,
    /// Cancelled when the session is over: another member may own the partition and decide about its events.
    over: CancellationToken,
}

impl DrainTokens {
    /// Ends every wait for a permit and every backoff.
    pub(crate) fn begin(&self) {
        self.0.draining.cancel();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.is_cancelled()
    }

    /// From now on nothing is decided about events of this session.
    pub(crate) fn end_session(&self) {
        self.0.over.cancel();
    }

    /// Whether another member may own the partition already.
    pub(crate) fn is_session_over(&self) -> bool {
        self.0.over.is_cancelled()
    }

    /// Sleeps for a backoff; `false` if draining began.
    pub(crate) async fn sleep(&self, delay: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.0.draining.cancelled() => false,
            () = tokio::time::sleep(delay) => true,
        }
    }
}
