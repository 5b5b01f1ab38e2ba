//! Runs the auditor at the end of a chaos run and subtracts the records that were published again on purpose.

use std::path::Path;

use anyhow::Result;
use auditor::Limits;
use auditor::verdict::Verdict;

use crate::audit;
use crate::stack::Stack;

/// Records on the topics, without those published again on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wire {
    /// Records published by the pair.
    pub(super) records: u64,
    /// Records published more than once by the pair.
    pub(super) duplicates: u64,
}

/// Audits a stopped pair; broker and databases still run.
pub(super) async fn audit(stack: &Stack, journal: &Path, was_clean: bool) -> Result<Verdict> {
    let limits = Limits {
        // Not limited: faults cause some duplicates, and the program itself publishes records again.
        wire_duplicates: None,
        set_aside: Some(0),
        stopped_cleanly: was_clean,
        has_other_clients: false,
    };
    audit::now(stack, Some(journal), &limits).await
}

/// The auditor's counts minus the records that were published again on purpose.
pub(super) fn wire(verdict: &Verdict, echoed: u64) -> Wire {
    let counted = |what| verdict.counted("wire-duplicates", what).unwrap_or(0);
    Wire {
        records: counted("records of events").saturating_sub(echoed),
        duplicates: counted("published again").saturating_sub(echoed),
    }
}
