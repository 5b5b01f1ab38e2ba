//! Follows a share of the placed orders to their final state, each in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use proto::orders::v1::{Order, OrderHistoryEntry};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Endpoint;

use super::recorder::Recorder;
use crate::client::connections::Connections;
use crate::client::token::BearerToken;
use crate::client::vocabulary::{rejection_name, status_name};
use crate::client::watch::Watch;
use crate::replay::journal::Journal;

/// Watched orders at once that are not final; further ones are not watched. order-service allows 4,096 streams by
/// default.
const WATCHED_AT_ONCE: usize = 2_000;

#[derive(Clone, Debug)]
pub(super) struct Watchers {
    connections: Connections,
    token: Option<BearerToken>,
    journal: Journal,
    /// From the confirmation of an order.
    limit: Duration,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    give_up: CancellationToken,
}

impl Watchers {
    pub(super) fn new(
        endpoints: &[Endpoint],
        token: Option<BearerToken>,
        journal: Journal,
        limit: Duration,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            connections: Connections::among(endpoints, WATCHED_AT_ONCE)?,
            token,
            journal,
            limit,
            places: Arc::new(Semaphore::new(WATCHED_AT_ONCE)),
            tasks: TaskTracker::new(),
            give_up: CancellationToken::new(),
        })
    }

    /// Watches an order whose call was due at this time.
    pub(super) fn watch(&self, order: Order, due: std::time::Instant, recorder: Arc<Recorder>) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            recorder.order_unwatched();
            return;
        };
        let this = self.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = this.follow(&order, due, &recorder) => {}
                () = this.give_up.cancelled() => recorder.order_unfinished(),
            }
            drop(place);
        });
    }

    async fn follow(&self, order: &Order, due: std::time::Instant, recorder: &Recorder) {
        let watch =
            Watch::new(self.connections.next(), &order.order_id, 0).with_token(self.token.clone());
        let read = self.journal.read(&order.order_id);
        let mut entries: Vec<OrderHistoryEntry> = Vec::new();
        let mut last_seen = due;
        let end = watch.until_final(Instant::now() + self.limit, |entry| {
            last_seen = std::time::Instant::now();
            entries.push(entry.clone());
        });
        let end = end.await;
        read.watched(0, &entries, end.is_ok());
        let status = end
            .as_ref()
            .map(|()| entries.last().map(final_status).unwrap_or_default());
        recorder.order_ended(last_seen - due, status);
    }

    /// Returns when every watched order is final or too late; or, when `stop` is cancelled, gives the others up.
    pub(super) async fn finish(self, stop: &CancellationToken) {
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => return,
            () = stop.cancelled() => self.give_up.cancel(),
        }
        self.tasks.wait().await;
    }
}

fn final_status(entry: &OrderHistoryEntry) -> String {
    let status = status_name(entry.status);
    match entry.rejection_reason {
        0 => status.to_owned(),
        reason => format!("{status} ({})", rejection_name(reason)),
    }
}
