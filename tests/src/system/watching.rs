//! Follows an order to its final state and resumes broken streams, as a well-behaved client does.

use anyhow::{Context as _, Result, bail};
use proto::orders::v1::{OrderHistoryEntry, OrderStatus, WatchOrderRequest, WatchOrderResponse};
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};

use super::{System, WAIT_LIMIT, is_transient};

impl System {
    /// The order's history from its first event to its final state, as WatchOrder shows it.
    ///
    /// # Errors
    /// When the order does not become final in time, or watching is refused.
    pub async fn watch_until_final(&self, order_id: &str) -> Result<Vec<OrderHistoryEntry>> {
        self.watch_until_final_after(order_id, 0).await
    }

    /// The order's history up to and including the first event that shows this status.
    ///
    /// # Errors
    /// When there is no such event in time, or the watch is refused.
    pub async fn watch_until(
        &self,
        order_id: &str,
        status: OrderStatus,
    ) -> Result<Vec<OrderHistoryEntry>> {
        let watched = async {
            let mut stream = self.watch(order_id, 0).await?;
            let mut history = Vec::new();
            while let Some(entry) = stream.message().await?.and_then(|response| response.entry) {
                let seen = entry.status() == status;
                history.push(entry);
                if seen {
                    return Ok(history);
                }
            }
            bail!("the stream ended before {}", status.as_str_name())
        };
        timeout(WAIT_LIMIT, watched)
            .await
            .with_context(|| format!("order {order_id} does not become {}", status.as_str_name()))?
    }

    /// The order's history after a version, until its final state.
    ///
    /// # Errors
    /// When the order does not become final in time, or watching is refused.
    pub async fn watch_until_final_after(
        &self,
        order_id: &str,
        version: i64,
    ) -> Result<Vec<OrderHistoryEntry>> {
        timeout(WAIT_LIMIT, self.follow(order_id, version))
            .await
            .with_context(|| format!("order {order_id} is not final after {WAIT_LIMIT:?}"))?
            .with_context(|| format!("cannot watch order {order_id}"))
    }

    async fn follow(
        &self,
        order_id: &str,
        after_version: i64,
    ) -> Result<Vec<OrderHistoryEntry>, Status> {
        let mut history = Vec::new();
        loop {
            let seen = history
                .last()
                .map_or(after_version, |entry: &OrderHistoryEntry| entry.version);
            let (read, shown) = (self.journal.read(order_id), history.len());
            let end = self.follow_once(order_id, seen, &mut history).await;
            // A refused watch has shown nothing, and its id may be invalid.
            if end.is_ok() || history.len() > shown {
                read.watched(seen, &history[shown..], end.is_ok());
            }
            match end {
                Ok(()) => return Ok(history),
                Err(status) if is_transient(&status) => sleep(WAIT_LIMIT / 1_000).await,
                Err(status) => return Err(status),
            }
        }
    }

    async fn follow_once(
        &self,
        order_id: &str,
        after_version: i64,
        history: &mut Vec<OrderHistoryEntry>,
    ) -> Result<(), Status> {
        let mut stream = self.watch(order_id, after_version).await?;
        while let Some(response) = stream.message().await? {
            history.extend(response.entry);
        }
        Ok(())
    }

    async fn watch(
        &self,
        order_id: &str,
        after_version: i64,
    ) -> Result<Streaming<WatchOrderResponse>, Status> {
        let request = WatchOrderRequest {
            order_id: order_id.to_owned(),
            after_version,
        };
        Ok(self.clients.next().watch_order(request).await?.into_inner())
    }
}

/// The statuses of a history in order.
pub fn statuses(history: &[OrderHistoryEntry]) -> Vec<OrderStatus> {
    history.iter().map(OrderHistoryEntry::status).collect()
}
