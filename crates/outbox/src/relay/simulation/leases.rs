//! The lease tables: the statements of [`crate::lease::postgres`] with the database's own clock.

use std::collections::HashMap;

use super::clock::Micros;
use crate::lease::TERM;
use crate::shard::Shard;

/// Identity of a relay in the table.
pub(super) type MemberId = u64;

#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    owner: Option<MemberId>,
    expires: Micros,
    /// Number of claims after an expired lease.
    claims: u64,
}

#[derive(Debug)]
pub(super) struct LeaseTable {
    leases: Vec<Lease>,
    alive: HashMap<MemberId, Micros>,
    /// Speed of the database's clock, in thousandths of simulated time.
    rate: u64,
}

impl LeaseTable {
    pub(super) fn new(rate: u64) -> Self {
        Self {
            leases: vec![Lease::default(); usize::try_from(Shard::COUNT).unwrap()],
            alive: HashMap::new(),
            rate,
        }
    }

    fn clock(&self, now: Micros) -> Micros {
        now * self.rate / 1_000
    }

    /// The shards of the member after a renewal, and the fair share.
    pub(super) fn renew(&mut self, member: MemberId, now: Micros) -> (Vec<Shard>, usize) {
        let now = self.clock(now);
        let expires = now + u64::try_from(TERM.as_micros()).unwrap();
        let others = self.alive.iter();
        let others = others.filter(|(id, expires)| **id != member && **expires > now);
        let fair = self.leases.len().div_ceil(1 + others.count());
        self.alive.insert(member, expires);

        let is_own = |lease: &Lease| lease.owner == Some(member);
        let held = self.leases.iter().filter(|lease| is_own(lease)).count();
        let mut claims = fair.saturating_sub(held);
        for lease in &mut self.leases {
            let is_free = lease.owner.is_none() || lease.expires < now;
            if is_own(lease) {
                lease.expires = expires;
            } else if is_free && claims > 0 {
                claims -= 1;
                lease.claims += u64::from(lease.owner.is_some());
                lease.owner = Some(member);
                lease.expires = expires;
            }
        }
        (self.shards_of(member), fair)
    }

    pub(super) fn shards_of(&self, member: MemberId) -> Vec<Shard> {
        let owned = |shard: &Shard| self.lease(*shard).owner == Some(member);
        Shard::all().filter(owned).collect()
    }

    fn lease(&self, shard: Shard) -> &Lease {
        &self.leases[usize::try_from(shard.number()).unwrap()]
    }

    pub(super) fn release(&mut self, member: MemberId, shards: &[Shard]) {
        for shard in shards {
            let lease = &mut self.leases[usize::try_from(shard.number()).unwrap()];
            if lease.owner == Some(member) {
                lease.owner = None;
            }
        }
    }

    pub(super) fn leave(&mut self, member: MemberId) {
        self.alive.remove(&member);
        self.release(member, &Shard::all().collect::<Vec<_>>());
    }

    /// Whether no other relay can hold this shard now.
    pub(super) fn holds(&self, member: MemberId, shard: Shard, now: Micros) -> bool {
        let lease = self.lease(shard);
        lease.owner == Some(member) && self.clock(now) <= lease.expires
    }

    pub(super) fn claims(&self, shard: Shard) -> u64 {
        self.lease(shard).claims
    }
}
