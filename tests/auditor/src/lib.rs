//! The auditor: proves after a run, from files and databases only, that nothing was lost and nothing was doubled.
//!
//! ```text
//! journal of the client ─┐
//! databases of both ─────┼──▶ evidence: one read-only SQLite connection ──▶ rules ──▶ verdict
//! dump of all topics ────┘
//! ```
//!
//! It shares the contract with the services (`proto`) and no other code: neither their states nor the client's counts are
//! trusted, only that the [`rules`] hold between them. It looks when everything has come to rest; what is still under way
//! counts as lost. It does not start, stop or wait for anything.
//!
//! Reading order: [`journal`] and [`topics`] (what the files hold), [`dump`] (how topics become files), [`database`],
//! [`evidence`](self::evidence) (everything side by side), [`rules`], [`verdict`].

pub mod journal;
pub mod topics;

pub mod dump;

mod copy;
pub mod database;

mod evidence;

pub mod rules;
pub mod verdict;

use std::path::PathBuf;

use anyhow::Result;

use self::database::Databases;
use self::evidence::Evidence;
use self::verdict::Verdict;

/// What an audit reads.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The databases of both services.
    pub databases: Databases,
    /// The client's journal. Without one every order in the books counts as confirmed.
    pub journal: Option<PathBuf>,
    /// The directory of the dumped topics, see [`dump`].
    pub topics: PathBuf,
}

/// What a run explains, so that it is no violation; and what may be asked of it beyond the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Records that may have come again; `None` counts them only. Without a fault there are none.
    pub wire_duplicates: Option<u64>,
    /// Orders that may have ended as parked events or dead letters; `None` counts them only.
    pub set_aside: Option<u64>,
    /// Whether the services had consumed everything and then stopped in order: their offsets are then the ends.
    pub stopped_cleanly: bool,
    /// Whether others than the journal's client have placed and cancelled orders.
    pub has_strangers: bool,
}

/// Audits a run.
///
/// # Errors
/// When an input cannot be read, or holds what nobody of the pair writes.
pub async fn check(inputs: &Inputs, limits: &Limits) -> Result<Verdict> {
    let mut evidence = Evidence::gather(inputs).await?;
    Ok(Verdict {
        orders: evidence.number("SELECT count(*) FROM orders").await?,
        unknown: evidence
            .number("SELECT count(*) FROM orders WHERE order_id NOT IN (SELECT order_id FROM confirmed)")
            .await?,
        rules: rules::check(&mut evidence, limits).await?,
    })
}
