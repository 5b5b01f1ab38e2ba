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
        self.acquire_many(1, drain).await
    }

    /// The permit for the only attempt in this process.
    pub(crate) async fn acquire_all(&self, drain: &DrainTokens) -> Option<OwnedSemaphorePermit> {
        self.acquire_many(self.max_in_flight, drain).await
    }

    async fn acquire_many(&self, count: u32, drain: &DrainTokens) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = drain.draining.cancelled() => None,
            permit = Arc::clone(&self.permits).acquire_many_owned(count) => permit.ok(),
        }
    }
}

/// The two steps at the end of a partition session, or of the sweeper.
#[derive(Clone, Debug, Default)]
pub(crate) struct DrainTokens {
    /// Cancelled when no new attempt may start: backoff and waits for a permit end.
    draining: CancellationToken,
    /// Cancelled when the session is over: another member may own the partition and decide about its events.
    over: CancellationToken,
}

impl DrainTokens {
    /// Ends every wait for a permit and every backoff.
    pub(crate) fn begin(&self) {
        self.draining.cancel();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// From now on nothing is decided about events of this session.
    pub(crate) fn end_session(&self) {
        self.over.cancel();
    }

    /// Whether another member may own the partition already.
    pub(crate) fn is_session_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Sleeps for a backoff; `false` if draining began.
    pub(crate) async fn sleep(&self, delay: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.draining.cancelled() => false,
            () = tokio::time::sleep(delay) => true,
        }
    }
}
