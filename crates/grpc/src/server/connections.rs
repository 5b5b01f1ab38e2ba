//! How many connections may be open, and which of them makes room for another.
//!
//! A connection that is not used costs memory and a file descriptor, and nothing forces a client to use the one it has:
//! whoever opens connections and is silent would lock out everybody else. So each connection has a seat, and when all
//! seats are taken the connection that has been without a call for the longest time is closed for the new one. A client
//! that works is never hit: its connection has a call in work, or had one a moment ago. Only when every connection has
//! a call in work is the new one closed.
//!
//! Closing a connection without a call may still meet a call that is on its way, as any closing does that is not agreed
//! on beforehand; the client sees that the connection is gone and repeats the call. There is no farewell (GOAWAY) first,
//! because only hyper could send it and tonic gives no way to ask it to. For the same reason there is no limit on how
//! long a connection may be idle: as long as there are seats it does no harm, and at the age at which every connection
//! is renewed ([`ConnectionAge`](super::age::ConnectionAge)) it is closed with a farewell, which harms no call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use telemetry::names::metrics;
use telemetry::vocabulary::{Labels, Metric};

/// The open connections of a server.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Room>);

#[derive(Debug)]
struct Room {
    most: usize,
    opened: Instant,
    seats: Mutex<Seats>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: HashMap<u64, Arc<Activity>>,
}

/// What has happened since the start.
#[derive(Debug, Default)]
struct Counts {
    evicted: AtomicU64,
    refused: AtomicU64,
    failed_handshakes: AtomicU64,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Room {
            most,
            opened: Instant::now(),
            seats: Mutex::default(),
            counts: Counts::default(),
        }))
    }

    /// A seat for a new connection; none if every connection has a call in work. A seat is given up when `closing` is
    /// cancelled.
    pub(super) fn take_seat(&self, closing: &CancellationToken) -> Option<Seat> {
        let mut seats = self.0.seats();
        if seats.taken.len() >= self.0.most && !self.0.evict(&mut seats) {
            count(&self.0.counts.refused);
            return None;
        }
        let activity = Arc::new(Activity {
            calls: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.0.now()),
            opened: self.0.opened,
            hang_up: closing.child_token(),
        });
        let number = seats.next;
        seats.next += 1;
        seats.taken.insert(number, activity.clone());
        Some(Seat {
            number,
            activity,
            room: self.0.clone(),
        })
    }

    /// Closes the connection that has been without a call for the longest time.
    pub(super) fn make_room(&self) {
        self.0.evict(&mut self.0.seats());
    }

    pub(super) fn count_failed_handshake(&self) {
        count(&self.0.counts.failed_handshakes);
    }

    /// Shows how many connections there are and what became of those that are gone.
    pub fn observe(&self) {
        let room = self.0.clone();
        metrics::GRPC_SERVER_CONNECTIONS
            .observe(move || [(room.seats().taken.len() as u64, Labels::default())]);
        self.show(metrics::GRPC_SERVER_CONNECTIONS_EVICTED, |of| &of.evicted);
        self.show(metrics::GRPC_SERVER_CONNECTIONS_REFUSED, |of| &of.refused);
        self.show(metrics::GRPC_SERVER_HANDSHAKES_FAILED, |of| {
            &of.failed_handshakes
        });
    }

    fn show(&self, metric: Metric, which: fn(&Counts) -> &AtomicU64) {
        let room = self.0.clone();
        metric.observe(move || {
            let count = which(&room.counts).load(Ordering::Relaxed);
            [(count, Labels::default())]
        });
    }
}

impl Room {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at every seat: forty microseconds for 4,096 of them, and only when there is no seat left.
    fn evict(&self, seats: &mut Seats) -> bool {
        let idle = seats.taken.iter().filter_map(|(number, activity)| {
            let since = activity.idle_since()?;
            Some((since, *number))
        });
        let Some((_, longest)) = idle.min() else {
            return false;
        };
        if let Some(activity) = seats.taken.remove(&longest) {
            activity.hang_up.cancel();
        }
        count(&self.counts.evicted);
        true
    }

    fn now(&self) -> u64 {
        nanoseconds_since(self.opened)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Enough for 584 years.
fn nanoseconds_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The right of a connection to be open; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    activity: Arc<Activity>,
    room: Arc<Room>,
}

impl Seat {
    /// Cancelled when the connection has to be closed, for another one or with the server.
    pub(super) fn hang_up(&self) -> &CancellationToken {
        &self.activity.hang_up
    }

    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.seats().taken.remove(&self.number);
    }
}

/// The calls of a connection.
#[derive(Debug)]
pub(super) struct Activity {
    calls: AtomicUsize,
    /// When there was a call last, in nanoseconds since `opened`.
    idle_since: AtomicU64,
    opened: Instant,
    hang_up: CancellationToken,
}

impl Activity {
    /// None if there is a call in work.
    fn idle_since(&self) -> Option<u64> {
        let idle = self.calls.load(Ordering::Acquire) == 0;
        idle.then(|| self.idle_since.load(Ordering::Relaxed))
    }
}

/// A call in work: until it is dropped its connection makes room for nobody.
#[derive(Debug)]
pub(super) struct CallInWork(Arc<Activity>);

impl CallInWork {
    pub(super) fn begin(activity: Arc<Activity>) -> Self {
        activity.calls.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for CallInWork {
    fn drop(&mut self) {
        let now = nanoseconds_since(self.0.opened);
        self.0.idle_since.store(now, Ordering::Relaxed);
        // Whoever sees that there is no call left sees since when.
        self.0.calls.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_closed(seat: &Seat) -> bool {
        seat.hang_up().is_cancelled()
    }

    #[test]
    fn the_connection_that_was_idle_longest_makes_room() {
        let connections = Connections::new(2);
        let closing = CancellationToken::new();
        let first = connections.take_seat(&closing).unwrap();
        let second = connections.take_seat(&closing).unwrap();
        drop(CallInWork::begin(first.activity().clone()));

        let third = connections.take_seat(&closing).unwrap();

        assert_eq!(
            [&first, &second, &third].map(is_closed),
            [false, true, false]
        );
    }

    #[test]
    fn a_connection_with_a_call_in_work_makes_room_for_nobody() {
        let connections = Connections::new(2);
        let closing = CancellationToken::new();
        let first = connections.take_seat(&closing).unwrap();
        let second = connections.take_seat(&closing).unwrap();
        let _calls = [&first, &second].map(|seat| CallInWork::begin(seat.activity().clone()));

        assert!(connections.take_seat(&closing).is_none());

        assert_eq!([&first, &second].map(is_closed), [false, false]);
    }

    #[test]
    fn a_connection_that_is_closed_gives_its_seat_back() {
        let connections = Connections::new(1);
        let closing = CancellationToken::new();
        let first = connections.take_seat(&closing).unwrap();
        let call = CallInWork::begin(first.activity().clone());

        drop(first);

        assert!(connections.take_seat(&closing).is_some());
        drop(call);
    }
}
