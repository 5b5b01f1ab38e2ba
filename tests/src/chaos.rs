//! `make chaos`: orders under injected faults; at the end the audit must find no violation.
//!
//! ```text
//! fresh stack behind proxies ─▶ orders, open loop ──────────────────────────────▶ all final ─▶ stop ─▶ audit ─▶ report
//!                               disruptions, one after the other, then silence ┘
//!                               disturbances beside them
//! ```
//!
//! Rules that keep the faults independent:
//!
//! * The plan is a pure function of seed, length and engines ([`plan`]); the same seed runs the same faults.
//! * One **disruption** at a time: a process killed, frozen, stopped, removed; connections cut, silent, slow; a failover of
//!   the database, whose former primary goes on, read-only, until the next failover. The next
//!   one begins at its time, or when the pair has recovered from the previous one, whichever is later. In the middle of
//!   an outage of a server, or of the connections to it, a replica of the pair may be killed too: that affects another
//!   component.
//! * **Disturbances** stop no component and start when they are due: failing payments; records published again byte for
//!   byte, newest, old, or adjacent records of a key in the wrong order; records of another producer, with any bytes that a
//!   broker accepts ([`crate::system::ForeignRecords`]). A disturbance that finds the broker down is skipped and not counted.
//! * Every fault of the set occurs once, in random order, before any occurs twice.
//! * The last third of the run, at most 20 s, is without faults, so that all orders become final.
//!
//! The pair has **recovered** when an order placed after the fault's end is final. With several replicas that order may
//! have used a replica without the fault; the audit at the end covers all of them.
//!
//! The client is that of the replay: an unanswered order is retried with the same request id until its outcome is
//! known.

mod arguments;
mod course;
mod dice;
mod display;
pub mod fault;
mod inflict;
pub mod plan;
mod recovery;
mod report;
mod run;
mod verdict;

use std::time::Duration;

use anyhow::Result;

pub use arguments::ChaosArguments;
use plan::FaultPlan;

/// Runs the program.
///
/// # Errors
/// When the stack does not start, when the run was interrupted, or when the report does not pass.
pub async fn run(arguments: ChaosArguments) -> Result<()> {
    let seed = arguments
        .seed
        .unwrap_or_else(|| rand::random::<u64>() >> 32);
    let length = Duration::from_secs(arguments.seconds);
    let plan = FaultPlan::new(seed, length, arguments.engines);
    print!("{plan}");
    if arguments.plan {
        return Ok(());
    }
    run::run(arguments, plan).await
}
