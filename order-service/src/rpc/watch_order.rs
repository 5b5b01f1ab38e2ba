//! WatchOrder: streams the history after a version, then each new entry, until the order is final.
//!
//! ```text
//! subscribe ─▶ read the history after the requested version ─▶ send ─▶ final? end
//!                       ▲                                       ▲ │
//!                       │ behind                      next entry │ │
//!                       └──────────── feed of the order ─────────┘ ◀── commits, follower
//! ```
//!
//! A new entry is taken from the feed of the order ([`crate::watchers`]) without a read. Flow control is the client's: the next
//! entry is taken after the client has received the one before. A slow client delays only itself and nothing is buffered for
//! it: when the feed no longer has its next entry, it is read. Disconnecting drops the stream and its permit.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream;
use grpc::server::violations::Violations;
use proto::orders::v1::{WatchOrderRequest, WatchOrderResponse};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::order_rpc::{Call, OrderRpc, record_order_id};
use super::status::RpcError;
use crate::conversion;
use crate::domain::{HistoryEntry, OrderId};
use crate::history_reader::{HistoryReader, PAGE};
use crate::store::History;
use crate::watchers::{News, Subscription};

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
    let mut watch = Watch {
        histories: service.histories.clone(),
        order_id: request.order_id,
        last_sent: request.after_version,
        page: VecDeque::new(),
        is_at_end: false,
        subscription,
        shutdown: service.shutdown.clone(),
        _permit: permit,
    };
    let history = watch.find().await?;
    if !call.caller.may_act_for(history.customer_id.as_str()) {
        return Err(RpcError::OrderNotFound(request.order_id));
    }
    watch.take(history.entries);
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
    histories: HistoryReader,
    order_id: OrderId,
    /// The version of the last sent entry, or the version in the request.
    last_sent: u64,
    /// Entries that are read and not sent yet.
    page: VecDeque<HistoryEntry>,
    /// Whether the last read reached the end of the history: what follows is in the feed.
    is_at_end: bool,
    subscription: Subscription,
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
            if !self.is_at_end {
                self.read().await?;
                continue;
            }
            match self.subscription.after(self.last_sent) {
                News::Next(entry) => return Ok(Some((self.send(&entry), self))),
                News::Behind => self.read().await?,
                News::Ended => return Ok(None),
                News::None => self.wait().await?,
            }
        }
    }

    fn send(&mut self, entry: &HistoryEntry) -> WatchOrderResponse {
        self.last_sent = entry.version;
        WatchOrderResponse {
            entry: Some(conversion::history_entry_message(entry)),
        }
    }

    async fn read(&mut self) -> Result<(), RpcError> {
        let history = self.find().await?;
        self.take(history.entries);
        Ok(())
    }

    async fn find(&self) -> Result<History, RpcError> {
        let history = self.histories.read(self.order_id, self.last_sent).await?;
        history.ok_or(RpcError::OrderNotFound(self.order_id))
    }

    /// Without an entry after the last sent one, `entries` is the last one of the order: the feed then knows whether it is
    /// final.
    fn take(&mut self, mut entries: Vec<HistoryEntry>) {
        self.subscription.share(&entries);
        self.is_at_end = entries.len() < PAGE;
        entries.retain(|entry| entry.version > self.last_sent);
        self.page = entries.into();
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
