//! WatchOrder: the history from a version on, then every event as it happens, until the order has ended.
//!
//! ```text
//! subscribe ─▶ read the history behind the last version shown ─▶ show it ─▶ final? end
//!                          ▲                                                  │
//!                          └───────────── woken by a commit ◀─────────────────┘
//! ```
//!
//! The stream is pulled by its client: it reads a page when the client has taken the one before. A slow client slows
//! only itself, nothing piles up for it, and a client that goes away takes the stream and its permit with it.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream;
use proto::orders::v1::{WatchOrderRequest, WatchOrderResponse};
use service::deadline::Deadline;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::access::Call;
use super::{OrderRpc, describe, read_failed};
use crate::convert;
use crate::domain::{HistoryEntry, OrderId};
use crate::edge::{RpcError, parse_watch_order};
use crate::store::OrderStore;
use crate::watchers::Subscription;

/// Entries read at once: more than a life has today, so that one read shows it.
const PAGE: u32 = 16;

/// Opens a stream for an order that exists, if there is room for one.
pub(super) async fn watch_order(
    service: &OrderRpc,
    call: &Call,
    request: &WatchOrderRequest,
) -> Result<BoxStream<WatchOrderResponse>, RpcError> {
    let request = parse_watch_order(request)?;
    describe(request.order_id);
    service.admit(call)?;
    let permit = Arc::clone(&service.streams).try_acquire_owned();
    let permit = permit.map_err(|_| RpcError::TooManyStreams)?;
    // Before the first read: an event that is committed between the two would be missed otherwise.
    let subscription = service.watchers.subscribe(request.order_id);
    service.find_for(call, request.order_id).await?;

    let watch = Watch {
        store: Arc::clone(&service.store),
        order_id: request.order_id,
        shown: request.after_version,
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

/// One open stream.
struct Watch {
    store: Arc<dyn OrderStore>,
    order_id: OrderId,
    /// The version shown last, or given by the client.
    shown: u64,
    /// Whether the entry shown last has ended the order; spares the reads that would tell.
    has_ended: bool,
    /// What was read and not shown yet.
    page: VecDeque<HistoryEntry>,
    /// Whether the last read reached the end of the history: only news can add to it, so there is nothing to read before.
    is_at_end: bool,
    subscription: Subscription,
    /// For each read. The stream as a whole is ended by the server.
    deadline: Deadline,
    shutdown: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

/// What there is to be done when everything read has been shown.
enum Next {
    Show,
    Wait,
    End,
}

impl Watch {
    /// The next entry, waiting for it if need be; nothing once the order has ended.
    async fn next(mut self) -> Result<Option<(WatchOrderResponse, Self)>, Status> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                return Ok(Some((self.show(&entry), self)));
            }
            match self.read().await? {
                Next::Show => {}
                Next::Wait => self.wait().await?,
                Next::End => return Ok(None),
            }
        }
    }

    fn show(&mut self, entry: &HistoryEntry) -> WatchOrderResponse {
        self.shown = entry.version;
        self.has_ended = entry.status.is_final();
        WatchOrderResponse {
            entry: Some(convert::history_entry_message(entry)),
        }
    }

    async fn read(&mut self) -> Result<Next, RpcError> {
        if self.has_ended {
            return Ok(Next::End);
        }
        if self.is_at_end {
            return Ok(Next::Wait);
        }
        let entries = self
            .store
            .history(self.order_id, self.shown, PAGE, self.deadline)
            .await;
        self.page = entries.map_err(read_failed(self.deadline))?.into();
        if self.page.is_empty() {
            return self.judge_silence().await;
        }
        self.is_at_end = self.page.len() < PAGE as usize;
        Ok(Next::Show)
    }

    /// No entry behind the one shown last: the order has ended there (the client resumed at its end or beyond), or goes
    /// on. It may also have moved since the history was read, and then the end must still be shown.
    async fn judge_silence(&self) -> Result<Next, RpcError> {
        let order = self
            .store
            .get(self.order_id, self.deadline)
            .await
            .map_err(read_failed(self.deadline))?;
        let order = order.ok_or(RpcError::OrderNotFound(self.order_id))?;
        if order.version > self.shown {
            Ok(Next::Show)
        } else if order.status.is_final() {
            Ok(Next::End)
        } else {
            Ok(Next::Wait)
        }
    }

    async fn wait(&mut self) -> Result<(), RpcError> {
        // Biased: a stopping server must not be held up by an order with much news.
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(RpcError::ShuttingDown),
            () = self.subscription.news() => {
                self.is_at_end = false;
                Ok(())
            }
        }
    }
}
