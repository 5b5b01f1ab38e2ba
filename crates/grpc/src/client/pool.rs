//! Round-robin pool of replicas with outlier ejection. Pure: the caller passes the time.
//!
//! A replica that fails several times in a row is ejected: it gets no calls for a time that grows with each ejection,
//! then one probe call, and is readmitted if that succeeds. The last replica in use is never ejected: a bad answer is
//! better than none. If only ejected replicas are left, all are used.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

use super::address::Address;
use service::backoff::Backoff;

/// Consecutive failures before ejection: fewer could be one restart, more would cost as many calls.
pub(super) const FAILURES: u32 = 3;

/// Ejection time: one second is about a restart, and 30 s is soon enough for a replica that was down for long.
const EJECTED_FOR: Backoff = Backoff {
    initial: Duration::from_secs(1),
    cap: Duration::from_secs(30),
};

/// The share of its bound from which the time is drawn, so that clients do not probe in step.
const SHARES: RangeInclusive<f64> = 0.8..=1.0;

/// One replica: an address, and one of the IP addresses of its host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) address: Address,
    pub(super) socket: SocketAddr,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(formatter)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptVerdict {
    /// It has answered, also with an error.
    Answered,
    /// It did not answer, or answered UNAVAILABLE.
    Failed,
    /// The call was abandoned early.
    Unknown,
}

/// A change to be logged and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Added(Peer),
    Removed(Peer),
    Ejected(Peer, Duration),
    Readmitted(Peer),
}

/// The replicas with their channels.
#[derive(Debug)]
pub(super) struct Pool<C> {
    replicas: Vec<Replica<C>>,
    next: usize,
}

#[derive(Debug)]
struct Replica<C> {
    peer: Peer,
    channel: C,
    state: ReplicaState,
}

#[derive(Clone, Copy, Debug)]
enum ReplicaState {
    InUse {
        /// Consecutive.
        failures: u32,
        /// Number of ejections, and the time of the readmission.
        before: Option<(u32, Instant)>,
    },
    Ejected {
        until: Instant,
        times: u32,
        is_probed: bool,
    },
}

const FRESH: ReplicaState = ReplicaState::InUse {
    failures: 0,
    before: None,
};

use AttemptVerdict::{Answered, Failed, Unknown};
use ReplicaState::{Ejected, InUse};

impl<C: Clone> Pool<C> {
    /// Empty; `start` is the first index of the round robin.
    pub(super) fn new(start: usize) -> Self {
        Self {
            replicas: Vec::new(),
            next: start,
        }
    }

    /// Replicas in use, and ejected ones.
    pub(super) fn count(&self) -> (usize, usize) {
        let in_use = self.replicas.iter().filter(|replica| replica.is_in_use());
        let in_use = in_use.count();
        (in_use, self.replicas.len() - in_use)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.replicas.is_empty()
    }

    /// The replica for the next call, preferably not `avoid`, on which this call has just failed.
    pub(super) fn pick(&mut self, now: Instant, avoid: Option<&Peer>) -> Option<(Peer, C)> {
        let start = self.next;
        self.next = self.next.wrapping_add(1);
        let count = self.replicas.len();
        let round = || (0..count).map(|offset| start.wrapping_add(offset) % count);
        let is_wanted = |index: &usize| Some(&self.replicas[*index].peer) != avoid;
        let is_open = |index: &usize| self.replicas[*index].takes_calls(now);
        let index = round()
            .find(|index| is_open(index) && is_wanted(index))
            .or_else(|| round().find(is_open))
            .or_else(|| round().next())?;
        let replica = &mut self.replicas[index];
        if let Ejected { is_probed, .. } = &mut replica.state {
            *is_probed = true;
        }
        Some((replica.peer.clone(), replica.channel.clone()))
    }

    /// Records the end of a call to this replica.
    pub(super) fn report(
        &mut self,
        peer: &Peer,
        verdict: AttemptVerdict,
        now: Instant,
    ) -> Option<Change> {
        let (in_use, _) = self.count();
        let replica = self
            .replicas
            .iter_mut()
            .find(|replica| replica.peer == *peer)?;
        match (&mut replica.state, verdict) {
            (InUse { failures, .. }, Answered) => *failures = 0,
            (InUse { failures, .. }, Failed) => {
                *failures = failures.saturating_add(1);
                let is_last = in_use == 1;
                if *failures >= FAILURES && !is_last {
                    return Some(replica.eject(now));
                }
            }
            (Ejected { times, .. }, Answered) => {
                let before = Some((*times, now));
                replica.state = InUse {
                    failures: 0,
                    before,
                };
                return Some(Change::Readmitted(peer.clone()));
            }
            // Calls that began before the ejection end after it: only a probe extends it.
            (Ejected { is_probed, .. }, Failed) if *is_probed => return Some(replica.eject(now)),
            (Ejected { is_probed, .. }, Unknown) => *is_probed = false,
            (InUse { .. }, Unknown) | (Ejected { .. }, Failed) => {}
        }
        None
    }

    /// Replaces the replicas; known ones keep their state.
    pub(super) fn replace(&mut self, peers: &[Peer], open: impl Fn(&Peer) -> C) -> Vec<Change> {
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.replicas)
            .into_iter()
            .partition(|replica| peers.contains(&replica.peer));
        self.replicas = kept;
        let mut changes: Vec<_> = gone
            .into_iter()
            .map(|replica| Change::Removed(replica.peer))
            .collect();
        for peer in peers {
            if self.replicas.iter().any(|replica| replica.peer == *peer) {
                continue;
            }
            self.replicas.push(Replica {
                channel: open(peer),
                peer: peer.clone(),
                state: FRESH,
            });
            changes.push(Change::Added(peer.clone()));
        }
        changes
    }
}

impl<C> Replica<C> {
    fn is_in_use(&self) -> bool {
        matches!(self.state, InUse { .. })
    }

    fn takes_calls(&self, now: Instant) -> bool {
        match self.state {
            InUse { .. } => true,
            Ejected {
                until, is_probed, ..
            } => now >= until && !is_probed,
        }
    }

    fn eject(&mut self, now: Instant) -> Change {
        let times = match self.state {
            Ejected { times, .. } => times.saturating_add(1),
            // After being in use for longer than the longest ejection the count restarts.
            InUse {
                before: Some((times, since)),
                ..
            } if now < since + EJECTED_FOR.cap => times.saturating_add(1),
            InUse { .. } => 1,
        };
        let time = EJECTED_FOR.bound(times).mul_f64(rand::random_range(SHARES));
        self.state = Ejected {
            until: now + time,
            times,
            is_probed: false,
        };
        Change::Ejected(self.peer.clone(), time)
    }
}

#[cfg(test)]
mod tests;
