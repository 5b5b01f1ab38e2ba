//! Follows an order to its final state and resumes broken streams.
//!
//! A broken stream is resumed after the last version seen, so that every event is delivered once and in order. The
//! stream is checked: versions increase by one, and no event follows the final one.

use std::time::Duration;

use proto::orders::v1::{OrderHistoryEntry, WatchOrderRequest, WatchOrderResponse};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::{Request, Streaming};

use super::OrderClient;
use super::failure::CallFailure;
use super::retry::{RetryBackoff, until_answered};
use super::token::BearerToken;
use super::vocabulary::{is_final, status_name};

/// After the final event the stream has to end; the client waits no longer than this for it.
const STREAM_END: Duration = Duration::from_secs(1);

/// Why an order was not followed to its final state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// No final state in time.
    #[error("it was not final in time: {status} at version {version}")]
    NotFinal {
        /// The last version seen; 0 when none was seen.
        version: i64,
        /// The last status seen.
        status: &'static str,
    },
    /// The service refused the watch.
    #[error("it cannot be watched")]
    Refused(#[source] CallFailure),
    /// The history skips or repeats a version.
    #[error("its history shows version {shown} after version {last}")]
    OutOfOrder {
        /// The previous version.
        last: i64,
        /// The received version.
        shown: i64,
    },
    /// The service ended the stream as for a final order. This also happens when the watch began after the last
    /// version.
    #[error("its history ended at version {version} without a final event")]
    Ended {
        /// The last version seen.
        version: i64,
    },
    /// An event after the final one.
    #[error("its history continues after it was {status} at version {version}")]
    AfterFinal {
        /// The version of the final event.
        version: i64,
        /// The final status.
        status: &'static str,
    },
}

/// A watch of one order.
#[derive(Debug)]
pub struct Watch {
    client: OrderClient,
    token: Option<BearerToken>,
    order_id: String,
    last: SeenUpTo,
}

/// The last version and status seen.
#[derive(Clone, Copy, Debug)]
struct SeenUpTo {
    version: i64,
    status: i32,
}

/// The result of reading one stream.
enum StreamEnd {
    Entry(OrderHistoryEntry),
    /// The connection broke; reopen the stream.
    Broken,
}

impl Watch {
    /// A watch that starts after a version; 0 starts at the beginning.
    pub fn new(client: OrderClient, order_id: &str, after_version: i64) -> Self {
        Self {
            client,
            token: None,
            order_id: order_id.to_owned(),
            last: SeenUpTo {
                version: after_version,
                status: 0,
            },
        }
    }

    /// Sets the token.
    #[must_use]
    pub fn with_token(self, token: Option<BearerToken>) -> Self {
        Self { token, ..self }
    }

    /// Passes every event to `show` until the order is final.
    pub async fn until_final(
        mut self,
        deadline: Instant,
        mut show: impl FnMut(&OrderHistoryEntry),
    ) -> Result<(), WatchError> {
        let mut backoff = RetryBackoff::default();
        loop {
            let mut stream = self.open(deadline).await?;
            let before = self.last.version;
            while let StreamEnd::Entry(entry) = self.next(&mut stream, deadline).await? {
                show(&entry);
                if is_final(entry.status) {
                    return self.expect_end(stream).await;
                }
            }
            if self.last.version > before {
                backoff = RetryBackoff::default();
            }
            sleep(backoff.next_pause()).await;
        }
    }

    async fn open(&self, deadline: Instant) -> Result<Streaming<WatchOrderResponse>, WatchError> {
        let opened = until_answered(deadline, || {
            let mut client = self.client.clone();
            let mut request = Request::new(WatchOrderRequest {
                order_id: self.order_id.clone(),
                after_version: self.last.version,
            });
            if let Some(token) = &self.token {
                token.show(&mut request);
            }
            async move { client.watch_order(request).await }
        });
        opened.await.map_err(|failure| {
            if failure.is_transient() {
                self.not_final()
            } else {
                WatchError::Refused(failure)
            }
        })
    }

    async fn next(
        &mut self,
        stream: &mut Streaming<WatchOrderResponse>,
        deadline: Instant,
    ) -> Result<StreamEnd, WatchError> {
        let message = timeout_at(deadline, stream.message())
            .await
            .map_err(|_| self.not_final())?;
        let entry = match message.map_err(CallFailure::from) {
            Ok(message) => message.and_then(|message| message.entry),
            Err(failure) if failure.is_transient() => return Ok(StreamEnd::Broken),
            Err(failure) => return Err(WatchError::Refused(failure)),
        };
        let version = self.last.version;
        let entry = entry.ok_or(WatchError::Ended { version })?;
        self.last = self.last.advance(&entry)?;
        Ok(StreamEnd::Entry(entry))
    }

    async fn expect_end(self, mut stream: Streaming<WatchOrderResponse>) -> Result<(), WatchError> {
        // An error after the final event is ignored: the outcome is known.
        match timeout(STREAM_END, stream.message()).await {
            Ok(Ok(Some(_))) => Err(WatchError::AfterFinal {
                version: self.last.version,
                status: status_name(self.last.status),
            }),
            _ => Ok(()),
        }
    }

    fn not_final(&self) -> WatchError {
        WatchError::NotFinal {
            version: self.last.version,
            status: status_name(self.last.status),
        }
    }
}

impl SeenUpTo {
    fn advance(self, entry: &OrderHistoryEntry) -> Result<Self, WatchError> {
        if entry.version != self.version + 1 {
            return Err(WatchError::OutOfOrder {
                last: self.version,
                shown: entry.version,
            });
        }
        Ok(Self {
            version: entry.version,
            status: entry.status,
        })
    }
}

#[cfg(test)]
mod tests;
