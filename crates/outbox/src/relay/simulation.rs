//! Many relays in a world without threads, clocks and servers: years of bad luck in seconds.
//!
//! Everything but [`super::planner`] is a model: a table whose transactions commit late and out of sequence, leases with a
//! clock of their own, a broker that delays, refuses, loses acknowledgements and writes what it reported as failed,
//! processes that freeze beyond their lease, die and come back, statements that fail, took effect although they failed,
//! or take effect long after they were given up. Which of it happens when follows from a seed.
//!
//! What must hold at every step, and once it is quiet, stands in [`ledger`] and at the end of [`world`].
//!
//! Not modelled: a process that is frozen between looking at its lease and handing an event to the producer (the margin
//! of the lease is for that), and a monotonic clock that stands still while the machine sleeps.

use service::seeded_rng;

mod world;

mod process;

mod broker;
mod leases;
mod table;

mod ledger;

use world::World;

/// Steps of a run of all tests: a few seconds of a build without optimisation.
const STEPS: u64 = 500_000;

#[test]
fn relays_lose_nothing_and_keep_every_key_in_order_whatever_fails() {
    seeded_rng::seeds("relays", STEPS, |seed| World::new(seed).run());
}
