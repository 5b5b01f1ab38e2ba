//! WatchOrder: streams the history after a version, then each new entry, until the order is final.
//!
//! ```text
//! subscribe ─▶ read the history after the last sent version ─▶ send it ─▶ final? end
//!                         ▲                                                │
//!                         └───────────── woken by a commit ◀───────────────┘
//! ```
//!
//! Flow control is the client's: the next page is read after the client has received the one before. A slow client delays
//! only itself and nothing is buffered for it. Disconnecting drops the stream and its permit.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream;
use grpc::server::violations::Violations;
use proto::orders::v1::{WatchOrderRequest, WatchOrderResponse};
use service::deadline::Deadline;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::order_rpc::{Call, OrderRpc, record_order_id};
use super::status::RpcError;
use crate::conversion;
use crate::domain::{HistoryEntry, OrderId};
use crate::store::OrderStore;
use crate::watchers::Subscription;

/// Entries per read: more than any order has today, so one read is enough.
const PAGE: u32 = 16;

/// Opens a stream for an existing order, within the limit of open streams.
pub(super) async fn watch_order(
    service: &OrderRpc,
    call: &Call,
    request: &WatchOrderRequest,
) -> Result<BoxStream<WatchOrderResponse>, RpcError> {
    let request = parse_watch_order(request)?;
    record_order_id(request.order_id);
    service.admit(call)?;
    let permit = Arc::clone(&service.streams).try_acquire_owned();
    let permit = permit.map_err(|_| RpcError::TooManyStreams)?;
    // Before the first read: otherwise, a commit between the two would be missed.
    let subscription = service.watchers.subscribe(request.order_id);
    service.find_for(call, request.order_id).await?;

    let watch = Watch {
        store: Arc::clone(&service.store),
        order_id: request.order_id,
        last_sent: request.after_version,
        has_ended: false,
        page: VecDeque::new(),
        is_at_end: false,
        subscription,
        deadline: call.deadline,
        shutdown: service.shutdown.clone(),
        _permit: permit,
    };
    Ok(Box::pin(stream::try_unfold(watch, Watch::next)))
}

/// A parsed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchRequest {
    pub order_id: OrderId,
    /// The last version that the client has seen.
    pub after_version: u64,
}

/// Parses a request.
///
/// # Errors
/// [`Violations`] for a malformed id and a negative version.
pub fn parse_watch_order(request: &WatchOrderRequest) -> Result<WatchRequest, Violations> {
    let mut violations = Violations::default();
    let order_id = violations.check("order_id", OrderId::parse(&request.order_id));
    let after_version = u64::try_from(request.after_version).map_err(|_| "must not be negative");
    let after_version = violations.check("after_version", after_version);
    match (order_id, after_version) {
        (Some(order_id), Some(after_version)) => Ok(WatchRequest {
            order_id,
            after_version,
        }),
        _ => Err(violations),
    }
}

/// One open stream.
struct Watch {
    store: Arc<dyn OrderStore>,
    order_id: OrderId,
    /// The version of the last sent entry, or the version in the request.
    last_sent: u64,
    /// Whether the order is final and its last entry is sent.
    has_ended: bool,
    /// Entries that are read and not sent yet.
    page: VecDeque<HistoryEntry>,
    /// Whether the last read reached the end of the history: read again after a wake-up only.
    is_at_end: bool,
    subscription: Subscription,
    /// For each read. The server ends the stream itself.
    deadline: Deadline,
    shutdown: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Watch {
    /// Waits for the next entry; `None` when the order is final.
    async fn next(mut self) -> Result<Option<(WatchOrderResponse, Self)>, Status> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                return Ok(Some((self.send(&entry), self)));
            }
            if self.has_ended {
                return Ok(None);
            }
            if self.is_at_end {
                self.wait().await?;
            }
            self.read().await?;
        }
    }

    fn send(&mut self, entry: &HistoryEntry) -> WatchOrderResponse {
        self.last_sent = entry.version;
        // Saves a read.
        self.has_ended = entry.status.is_final();
        WatchOrderResponse {
            entry: Some(conversion::history_entry_message(entry)),
        }
    }

    async fn read(&mut self) -> Result<(), RpcError> {
        let entries = self
            .store
            .history(self.order_id, self.last_sent, PAGE, self.deadline)
            .await;
        self.page = entries.map_err(RpcError::of_read(self.deadline))?.into();
        self.is_at_end = self.page.len() < PAGE as usize;
        if self.page.is_empty() {
            self.read_status().await?;
        }
        Ok(())
    }

    /// There is no entry after the last sent one. The order is final (the client resumed at or beyond its end), or will
    /// change. If it has changed since the history was read, the new entries must still be sent.
    async fn read_status(&mut self) -> Result<(), RpcError> {
        let order = self
            .store
            .get(self.order_id, self.deadline)
            .await
            .map_err(RpcError::of_read(self.deadline))?;
        let order = order.ok_or(RpcError::OrderNotFound(self.order_id))?;
        self.is_at_end = order.version <= self.last_sent;
        self.has_ended = self.is_at_end && order.status.is_final();
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), RpcError> {
        // Biased: an order with many changes must not delay the shutdown.
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(RpcError::ShuttingDown),
            () = self.subscription.changed() => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_violation_of_a_watch_request_is_reported() {
        let request = WatchOrderRequest {
            order_id: "order".to_owned(),
            after_version: -1,
        };

        let violations = parse_watch_order(&request).unwrap_err();

        let fields = violations
            .listed()
            .iter()
            .map(|violation| violation.field.as_str());
        assert_eq!(fields.collect::<Vec<_>>(), ["order_id", "after_version"]);
    }
}
