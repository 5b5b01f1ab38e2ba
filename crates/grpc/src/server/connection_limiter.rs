//! Limit of open connections, with eviction of idle ones.
//!
//! An unused connection costs memory and a file descriptor, and nothing forces a client to reuse its connection: a
//! client that opens idle connections would lock out all others. So each connection holds a permit, and at the limit
//! the connection that has been idle longest is closed for the new one. An active client is not affected: its
//! connection has an in-flight call, or had one a moment ago. The new connection is rejected only if every connection
//! has an in-flight call.
//!
//! Closing an idle connection can race with a call that is already on its way; the client sees a closed connection and
//! retries. There is no GOAWAY first, because only hyper could send it and tonic offers no way to request it. For the
//! same reason there is no idle timeout: below the limit an idle connection does no harm, and at its maximum age
//! ([`ConnectionAge`](super::connection_age::ConnectionAge)) it is closed after a GOAWAY, which harms no call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use telemetry::names::metrics;
use telemetry::vocabulary::{Labels, Metric};

#[derive(Clone, Debug)]
pub struct ConnectionLimiter(Arc<LimiterState>);

#[derive(Debug)]
struct LimiterState {
    max: usize,
    open: Mutex<OpenConnections>,
    counts: ConnectionCounts,
}

#[derive(Debug, Default)]
struct OpenConnections {
    next_id: u64,
    by_id: HashMap<u64, Arc<Activity>>,
}

/// Totals since the start.
#[derive(Debug, Default)]
struct ConnectionCounts {
    evicted: AtomicU64,
    refused: AtomicU64,
    failed_handshakes: AtomicU64,
}

impl ConnectionLimiter {
    pub(super) fn new(max: usize) -> Self {
        Self(Arc::new(LimiterState {
            max,
            open: Mutex::default(),
            counts: ConnectionCounts::default(),
        }))
    }

    /// A permit for a new connection; `None` if every connection has an in-flight call. The permit is revoked when
    /// `closing` is cancelled.
    pub(super) fn try_acquire(&self, closing: &CancellationToken) -> Option<ConnectionPermit> {
        let mut open = self.0.open();
        if open.by_id.len() >= self.0.max && !self.0.evict(&mut open) {
            count(&self.0.counts.refused);
            return None;
        }
        let activity = Arc::new(Activity {
            calls: Mutex::new(Calls {
                in_flight: 0,
                idle_since: Instant::now(),
            }),
            close: closing.child_token(),
        });
        let id = open.next_id;
        open.next_id += 1;
        open.by_id.insert(id, activity.clone());
        Some(ConnectionPermit {
            id,
            activity,
            state: self.0.clone(),
        })
    }

    /// Closes the connection that has been idle longest.
    pub(super) fn evict_idle(&self) {
        self.0.evict(&mut self.0.open());
    }

    pub(super) fn count_failed_handshake(&self) {
        count(&self.0.counts.failed_handshakes);
    }

    /// Registers the metrics.
    pub fn observe(&self) {
        let state = self.0.clone();
        metrics::GRPC_SERVER_CONNECTIONS
            .observe(move || [(state.open().by_id.len() as u64, Labels::default())]);
        self.show(metrics::GRPC_SERVER_CONNECTIONS_EVICTED, |of| &of.evicted);
        self.show(metrics::GRPC_SERVER_CONNECTIONS_REFUSED, |of| &of.refused);
        self.show(metrics::GRPC_SERVER_HANDSHAKES_FAILED, |of| {
            &of.failed_handshakes
        });
    }

    fn show(&self, metric: Metric, which: fn(&ConnectionCounts) -> &AtomicU64) {
        let state = self.0.clone();
        metric.observe(move || {
            let count = which(&state.counts).load(Ordering::Relaxed);
            [(count, Labels::default())]
        });
    }
}

impl LimiterState {
    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scans all connections: 40 µs for 4,096 of them, and only at the limit.
    fn evict(&self, open: &mut OpenConnections) -> bool {
        let idle = open.by_id.iter().filter_map(|(id, activity)| {
            let since = activity.idle_since()?;
            Some((since, *id))
        });
        let Some((_, longest)) = idle.min() else {
            return false;
        };
        if let Some(activity) = open.by_id.remove(&longest) {
            activity.close.cancel();
        }
        count(&self.counts.evicted);
        true
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Permission of a connection to be open; released on drop.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    id: u64,
    activity: Arc<Activity>,
    state: Arc<LimiterState>,
}

impl ConnectionPermit {
    /// Cancelled when the connection must be closed: by eviction or with the server.
    pub(super) fn close_token(&self) -> &CancellationToken {
        &self.activity.close
    }

    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.state.open().by_id.remove(&self.id);
    }
}

/// In-flight calls of a connection.
#[derive(Debug)]
pub(super) struct Activity {
    calls: Mutex<Calls>,
    close: CancellationToken,
}

#[derive(Debug)]
struct Calls {
    in_flight: usize,
    /// End of the last call.
    idle_since: Instant,
}

impl Activity {
    /// `None` with an in-flight call.
    fn idle_since(&self) -> Option<Instant> {
        let calls = self.calls();
        (calls.in_flight == 0).then_some(calls.idle_since)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An in-flight call: its connection is not evicted before this is dropped.
#[derive(Debug)]
pub(super) struct InFlightCall(Arc<Activity>);

impl InFlightCall {
    pub(super) fn begin(activity: Arc<Activity>) -> Self {
        activity.calls().in_flight += 1;
        Self(activity)
    }
}

impl Drop for InFlightCall {
    fn drop(&mut self) {
        let mut calls = self.0.calls();
        calls.in_flight -= 1;
        calls.idle_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_closed(permit: &ConnectionPermit) -> bool {
        permit.close_token().is_cancelled()
    }

    #[test]
    fn the_connection_that_was_idle_longest_is_evicted() {
        let connections = ConnectionLimiter::new(2);
        let closing = CancellationToken::new();
        let first = connections.try_acquire(&closing).unwrap();
        let second = connections.try_acquire(&closing).unwrap();
        drop(InFlightCall::begin(first.activity().clone()));

        let third = connections.try_acquire(&closing).unwrap();

        assert_eq!(
            [&first, &second, &third].map(is_closed),
            [false, true, false]
        );
    }

    #[test]
    fn a_connection_with_an_in_flight_call_is_not_evicted() {
        let connections = ConnectionLimiter::new(2);
        let closing = CancellationToken::new();
        let first = connections.try_acquire(&closing).unwrap();
        let second = connections.try_acquire(&closing).unwrap();
        let _calls = [&first, &second].map(|permit| InFlightCall::begin(permit.activity().clone()));

        assert!(connections.try_acquire(&closing).is_none());

        assert_eq!([&first, &second].map(is_closed), [false, false]);
    }

    #[test]
    fn a_closed_connection_releases_its_permit() {
        let connections = ConnectionLimiter::new(1);
        let closing = CancellationToken::new();
        let first = connections.try_acquire(&closing).unwrap();
        let call = InFlightCall::begin(first.activity().clone());

        drop(first);

        assert!(connections.try_acquire(&closing).is_some());
        drop(call);
    }
}
