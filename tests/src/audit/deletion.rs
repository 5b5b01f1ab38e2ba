//! Deletes records from a topic of a stack, as a retention that is too short does, and keeps them for the audit.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use auditor::{dump, merge};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::stack::Stack;

/// The directory of the kept records in the data directory.
const KEPT: &str = "topics-deleted";

/// Timeout of the deletion.
const ANSWER: Duration = Duration::from_secs(10);

/// Deletes every record of a topic that is there now. Returns the number of records that its group had not read.
///
/// # Errors
/// When the topics cannot be read, or when the broker refuses.
pub async fn delete_records(stack: &Stack, topic: &str, group: &str) -> Result<u64> {
    let kafka = &stack.addresses().kafka;
    let next = stack.data_dir().join(format!("{KEPT}-next"));
    let prefix = stack.topic_prefix();
    dump::all_topics(kafka, prefix, &next).await?;
    complete(stack, &next)?;
    let partitions = merge::note_deletion(&next, topic, group)?;
    let kept = kept(stack);
    if kept.exists() {
        fs::remove_dir_all(&kept)?;
    }
    fs::rename(&next, &kept)?;

    let name = format!("{prefix}{topic}");
    let mut ends = TopicPartitionList::new();
    let mut unread = 0;
    for partition in partitions {
        ends.add_partition_offset(&name, partition.partition, Offset::Offset(partition.end))?;
        let deleted = partition.deleted_unread.last().context("noted")?;
        unread += u64::try_from(deleted.end - deleted.start).unwrap_or(0);
    }
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .create()?;
    let options = AdminOptions::new().operation_timeout(Some(ANSWER));
    let deleted = admin.delete_records(&ends, &options).await?;
    for element in deleted.elements() {
        let partition = element.partition();
        element
            .error()
            .with_context(|| format!("records of {topic}/{partition} are not deleted"))?;
    }
    Ok(unread)
}

/// Adds the deleted records to a dump of the topics.
pub(super) fn complete(stack: &Stack, dumped: &Path) -> Result<()> {
    let kept = kept(stack);
    if kept.exists() {
        merge::add_deleted(&kept, dumped)?;
    }
    Ok(())
}

fn kept(stack: &Stack) -> PathBuf {
    stack.data_dir().join(KEPT)
}
