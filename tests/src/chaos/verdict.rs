//! What the auditor says when all is over. The one place that knows it.

use std::path::Path;

use anyhow::Result;
use auditor::Limits;
use auditor::verdict::Verdict;

use crate::audit;
use crate::stack::Stack;

/// Records on the topics, without those published again on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wire {
    /// Records that the pair published.
    pub(super) records: u64,
    /// Those of them that it had published before.
    pub(super) duplicates: u64,
}

/// Audits what a stopped pair has left; broker and databases still run.
pub(super) async fn audit(stack: &Stack, journal: &Path, was_clean: bool) -> Result<Verdict> {
    let limits = Limits {
        // They are counted: faults make some, and the program itself more.
        wire_duplicates: None,
        set_aside: Some(0),
        stopped_cleanly: was_clean,
        has_strangers: false,
    };
    audit::now(stack, Some(journal), &limits).await
}

/// The auditor's counts without so many records that were published again on purpose.
pub(super) fn wire(verdict: &Verdict, echoed: u64) -> Wire {
    let counted = |what| verdict.counted("wire-duplicates", what).unwrap_or(0);
    Wire {
        records: counted("records of events").saturating_sub(echoed),
        duplicates: counted("came again").saturating_sub(echoed),
    }
}
