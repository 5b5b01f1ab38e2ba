//! The in-process wake-up from the writer to the relay.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes the relay after a commit that wrote outbox rows, so that an event leaves without waiting for a poll. Clones
/// share one signal. A signal that is lost costs latency only: the relay polls as well.
#[derive(Clone, Debug, Default)]
pub struct OutboxSignal(Arc<Notify>);

impl OutboxSignal {
    /// Call this after the commit.
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Completes after the next [`OutboxSignal::notify`], at once if one came since the last call.
    pub(crate) async fn notified(&self) {
        self.0.notified().await;
    }
}
