//! The replicas of a service and which of them gets the next call: pure, the caller brings the time.
//!
//! Calls go round in turn. A replica that fails several times in a row is ejected: it gets no calls for a time that grows
//! each time, then one call as a probe, and is taken back if that succeeds. The last one in use is never ejected: a bad
//! answer is better than none. If only ejected ones are left, all are used.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::address::Address;
use service::backoff::Backoff;

/// Failures in a row that eject: fewer could be the coincidence of a restart, more would cost as many calls.
pub(super) const FAILURES: u32 = 3;

/// How long a replica is ejected: a second is about what a restart takes on, and half a minute is soon enough for one that
/// was away for long.
const EJECTED_FOR: Backoff = Backoff {
    initial: Duration::from_secs(1),
    cap: Duration::from_secs(30),
};

/// The time is between this share of its bound and all of it, so that clients do not probe in step.
const MIN_SHARE: f64 = 0.8;

/// One replica: an address, and an IP address that its host stands for.
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

/// How a call to a replica has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has answered, be it with an error.
    Answered,
    /// It did not answer, or said that it cannot.
    Failed,
    /// The caller gave up early: nothing is known.
    Unknown,
}

/// What changed for a replica, to be logged and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Added(Peer),
    Removed(Peer),
    Ejected(Peer, Duration),
    TakenBack(Peer),
}

/// The replicas, with what it takes to call them.
#[derive(Debug)]
pub(super) struct Pool<C> {
    members: Vec<Member<C>>,
    next: usize,
}

#[derive(Debug)]
struct Member<C> {
    peer: Peer,
    channel: C,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    InUse {
        /// In a row.
        failures: u32,
        /// How often it was ejected, and when it was taken back.
        before: Option<(u32, Instant)>,
    },
    Ejected {
        until: Instant,
        times: u32,
        is_probed: bool,
    },
}

const FRESH: State = State::InUse {
    failures: 0,
    before: None,
};

impl<C: Clone> Pool<C> {
    /// Nothing yet; `start` is where the round begins.
    pub(super) fn new(start: usize) -> Self {
        Self {
            members: Vec::new(),
            next: start,
        }
    }

    /// How many are in use, and how many ejected.
    pub(super) fn count(&self) -> (usize, usize) {
        let in_use = self.members.iter().filter(|member| member.is_in_use());
        let in_use = in_use.count();
        (in_use, self.members.len() - in_use)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Who gets the next call: rather not the one to `avoid`, which has just failed this call.
    pub(super) fn pick(&mut self, now: Instant, avoid: Option<&Peer>) -> Option<(Peer, C)> {
        let start = self.next;
        self.next = self.next.wrapping_add(1);
        let count = self.members.len();
        let round = || (0..count).map(|offset| start.wrapping_add(offset) % count);
        let is_wanted = |index: &usize| Some(&self.members[*index].peer) != avoid;
        let is_open = |index: &usize| self.members[*index].takes_calls(now);
        let index = round()
            .find(|index| is_open(index) && is_wanted(index))
            .or_else(|| round().find(is_open))
            .or_else(|| round().next())?;
        let member = &mut self.members[index];
        if let State::Ejected { is_probed, .. } = &mut member.state {
            *is_probed = true;
        }
        Some((member.peer.clone(), member.channel.clone()))
    }

    /// A call to this replica has ended.
    pub(super) fn report(&mut self, peer: &Peer, verdict: Verdict, now: Instant) -> Option<Change> {
        let (in_use, _) = self.count();
        let member = self
            .members
            .iter_mut()
            .find(|member| member.peer == *peer)?;
        match (&mut member.state, verdict) {
            (State::InUse { failures, .. }, Verdict::Answered) => *failures = 0,
            (State::InUse { failures, .. }, Verdict::Failed) => {
                *failures = failures.saturating_add(1);
                let is_last = in_use == 1;
                if *failures >= FAILURES && !is_last {
                    return Some(member.eject(now));
                }
            }
            (State::Ejected { times, .. }, Verdict::Answered) => {
                member.state = State::InUse {
                    failures: 0,
                    before: Some((*times, now)),
                };
                return Some(Change::TakenBack(peer.clone()));
            }
            // Calls that were begun before the ejection end after it: only a probe makes it longer.
            (
                State::Ejected {
                    is_probed: true, ..
                },
                Verdict::Failed,
            ) => {
                return Some(member.eject(now));
            }
            (State::Ejected { is_probed, .. }, Verdict::Unknown) => *is_probed = false,
            (State::InUse { .. }, Verdict::Unknown) | (State::Ejected { .. }, Verdict::Failed) => {}
        }
        None
    }

    /// From now on these are the replicas; who stays keeps its state.
    pub(super) fn replace(&mut self, peers: &[Peer], open: impl Fn(&Peer) -> C) -> Vec<Change> {
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.members)
            .into_iter()
            .partition(|member| peers.contains(&member.peer));
        self.members = kept;
        let mut changes: Vec<_> = gone
            .into_iter()
            .map(|member| Change::Removed(member.peer))
            .collect();
        for peer in peers {
            if self.members.iter().any(|member| member.peer == *peer) {
                continue;
            }
            self.members.push(Member {
                channel: open(peer),
                peer: peer.clone(),
                state: FRESH,
            });
            changes.push(Change::Added(peer.clone()));
        }
        changes
    }
}

impl<C> Member<C> {
    fn is_in_use(&self) -> bool {
        matches!(self.state, State::InUse { .. })
    }

    fn takes_calls(&self, now: Instant) -> bool {
        match self.state {
            State::InUse { .. } => true,
            State::Ejected {
                until, is_probed, ..
            } => now >= until && !is_probed,
        }
    }

    fn eject(&mut self, now: Instant) -> Change {
        let times = match self.state {
            State::Ejected { times, .. } => times.saturating_add(1),
            // One that was well for longer than any ejection lasts begins anew.
            State::InUse {
                before: Some((times, since)),
                ..
            } if now < since + EJECTED_FOR.cap => times.saturating_add(1),
            State::InUse { .. } => 1,
        };
        let share = MIN_SHARE + (1.0 - MIN_SHARE) * rand::random::<f64>();
        let time = EJECTED_FOR.bound(times).mul_f64(share);
        self.state = State::Ejected {
            until: now + time,
            times,
            is_probed: false,
        };
        Change::Ejected(self.peer.clone(), time)
    }
}

#[cfg(test)]
mod tests;
