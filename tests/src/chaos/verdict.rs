//! What the books and the topics say when all is over.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::course::{Echoes, TOPICS};
use crate::audit::{self, Verdict};
use crate::stack::Stack;
use crate::system::{Topic, wire};

/// What went over the wire, without what was published again on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// Records that the pair published.
    pub(super) records: usize,
    /// Those of them that it had published before.
    pub(super) duplicates: usize,
}

/// Audits the databases against what the client was told. The one place that knows the audit.
pub(super) async fn audit(stack: &Stack, journal: &Path) -> Result<Verdict> {
    audit::run(&stack.databases(), Some(journal)).await
}

/// Reads both topics; fails when events of one order are out of sequence there.
pub(super) async fn wire(stack: &Stack, echoes: &Echoes) -> Result<Wire> {
    let mut wire = Wire::default();
    for name in TOPICS {
        let topic = Topic::new(stack.addresses().kafka.clone(), name);
        let mut records = topic.records().await?;
        records.retain(|record| !echoes.contains(&(name, record.partition, record.offset)));
        wire.records += records.len();
        wire.duplicates += wire::duplicates(&records).with_context(|| format!("topic {name}"))?;
    }
    Ok(wire)
}
