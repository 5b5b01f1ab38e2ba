//! The audit: reads both databases and the client's journal after a run and proves that nothing was lost or doubled.
//!
//! It opens the database files read-only and side by side, so that a rule may compare what the two services hold; no
//! service may do that. PostgreSQL databases are copied into such files first, so that there is one set of rules. It trusts nobody: neither the services' states nor the client's counts, only that the rules of
//! [`rules`] and [`ledger`] hold between them. An order that the journal does not know was confirmed to a client that
//! had given up waiting; it is counted, held to the same rules of consistency, and no violation by itself.

mod copy;
mod database;
pub mod evidence;
pub mod ledger;
pub mod rules;
pub mod settled;

use std::fmt;
use std::path::Path;

use self::evidence::Evidence;

pub use self::database::{Database, Databases, Reader};

/// What the audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Orders in the database of order-service.
    pub orders: u64,
    /// Those of them that the journal does not know.
    pub unknown: u64,
    /// A sentence for each violation; very many of one kind are summed up.
    pub violations: Vec<String>,
}

/// Violations of one rule that are spelled out; a broken rule tends to be broken thousands of times.
const SPELLED_OUT: usize = 10;

/// Audits a run. Without a journal every order in the books counts as confirmed.
///
/// The system must have settled, see [`settled::wait`]; otherwise what is under way counts as lost.
pub async fn run(databases: &Databases, journal: Option<&Path>) -> anyhow::Result<Verdict> {
    let mut evidence = Evidence::open(databases, journal).await?;
    let mut violations = rules::check(&mut evidence).await?;
    violations.extend(ledger::check(&mut evidence).await?);
    Ok(Verdict {
        orders: evidence.orders().await?,
        unknown: evidence.unknown_orders().await?,
        violations,
    })
}

impl Verdict {
    /// Whether nothing was found.
    pub fn is_ok(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = if self.is_ok() { "green" } else { "red" };
        write!(f, "audit: {colour}, {} orders in the books", self.orders)?;
        match self.unknown {
            0 => writeln!(f, ", all known to the client")?,
            unknown => writeln!(f, ", {unknown} of them unknown to the client")?,
        }
        for violation in &self.violations {
            writeln!(f, "  {violation}")?;
        }
        Ok(())
    }
}

/// The first violations of one rule in full, the others as a number.
#[derive(Debug, Default)]
struct Findings {
    spelled_out: Vec<String>,
    more: usize,
}

impl Findings {
    fn add(&mut self, sentence: String) {
        if self.spelled_out.len() < SPELLED_OUT {
            self.spelled_out.push(sentence);
        } else {
            self.more += 1;
        }
    }

    fn into_sentences(mut self) -> Vec<String> {
        if self.more > 0 {
            let more = format!("… and {} more like these", self.more);
            self.spelled_out.push(more);
        }
        self.spelled_out
    }
}

#[cfg(test)]
mod tests;
