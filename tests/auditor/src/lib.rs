//! The auditor: proves after a run, from files and databases only, that nothing was lost or duplicated.
//!
//! ```text
//! journal of the client ─┐
//! databases of both ─────┼──▶ evidence: one read-only SQLite connection ──▶ rules ──▶ verdict
//! dump of all topics ────┘
//! ```
//!
//! It shares the contract (`proto`) with the services and no other code: it trusts neither their states nor the client's
//! counts, and only checks that the [`rules`] hold between them. It expects an idle system: work in progress counts as lost.
//! It does not start, stop or wait for anything.
//!
//! Reading order: [`journal`] and [`topics`] (the file formats), [`dump`] (writes the topics into files), [`database`],
//! [`evidence`](self::evidence) (all data on one connection), [`rules`], [`verdict`].

pub mod journal;
pub mod topics;

pub mod dump;
pub mod merge;

mod copy;
pub mod database;
mod owner;

mod evidence;

pub mod rules;
pub mod verdict;

use std::path::PathBuf;

use anyhow::Result;

use self::database::Databases;
use self::evidence::Evidence;
use self::verdict::Verdict;

#[derive(Clone, Debug)]
pub struct Inputs {
    pub databases: Databases,
    /// The prefix of the installation; both databases must belong to it.
    pub topic_prefix: String,
    /// The client's journal. Without one, every order in the database counts as confirmed.
    pub journal: Option<PathBuf>,
    /// The directory of the dumped topics, see [`dump`].
    pub topics: PathBuf,
}

/// Deviations that the run explains, and optional checks beyond the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of repeated records; `None` only counts them. Without faults there are none.
    pub wire_duplicates: Option<u64>,
    /// Maximum number of orders with events in a retry store; `None` only counts them.
    pub set_aside: Option<u64>,
    /// Whether the services consumed everything and stopped cleanly: committed offsets must then be the partition ends.
    pub stopped_cleanly: bool,
    /// Whether clients without a journal placed or cancelled orders too.
    pub has_other_clients: bool,
}

/// Audits a run.
///
/// # Errors
/// When an input cannot be read, or holds values that neither service writes.
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
