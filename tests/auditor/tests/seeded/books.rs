//! Valid evidence to audit: one fulfilled, one rejected and one cancelled order in both databases, on the topics and in
//! the journal. A test can change all of it before the audit.

mod databases;
mod history;
mod journal;
mod topics;

use std::path::{Path, PathBuf};

use auditor::database::{Database, Databases};
use auditor::journal::JournalLine;
use auditor::topics::{DumpedPartition, DumpedRecord, PARTITIONS, file_of};
use auditor::verdict::Verdict;
use auditor::{Inputs, Limits, check};
use serde::Serialize;

pub(crate) use history::{id, order_id};
pub(crate) use topics::{ORDERS, OUTCOMES, event};

pub(crate) struct Books {
    folder: tempfile::TempDir,
    /// The topics with their records.
    pub(crate) topics: Vec<(&'static str, Vec<DumpedRecord>)>,
    pub(crate) partitions: Vec<DumpedPartition>,
    pub(crate) journal: Vec<JournalLine>,
    /// A truncated last line of the journal.
    pub(crate) journal_tail: &'static str,
}

impl Books {
    pub(crate) async fn sound() -> Self {
        let folder = tempfile::tempdir().unwrap();
        databases::create(folder.path()).await;
        let topics = topics::records();
        Self {
            partitions: topics::partitions(&topics),
            topics,
            journal: journal::lines(),
            journal_tail: "",
            folder,
        }
    }

    /// Runs SQL on the databases: `main` is order-service's, `processing` the other.
    pub(crate) async fn change(&self, sql: &'static str) {
        databases::change(self.folder.path(), sql).await;
    }

    pub(crate) fn processing_file(&self) -> PathBuf {
        databases::processing(self.folder.path())
    }

    pub(crate) async fn audit(&self) -> Verdict {
        self.audit_within(Limits::default()).await
    }

    pub(crate) async fn audit_within(&self, limits: Limits) -> Verdict {
        check(&self.inputs(), &limits).await.unwrap()
    }

    pub(crate) async fn try_audit(&self) -> anyhow::Result<Verdict> {
        check(&self.inputs(), &Limits::default()).await
    }

    pub(crate) async fn audit_without_journal(&self) -> Verdict {
        let inputs = Inputs {
            journal: None,
            ..self.inputs()
        };
        check(&inputs, &Limits::default()).await.unwrap()
    }

    /// Writes all files and returns their paths.
    pub(crate) fn inputs(&self) -> Inputs {
        let folder = self.folder.path();
        let journal = folder.join("journal.jsonl");
        write_lines(&journal, &self.journal, self.journal_tail);
        for (topic, records) in &self.topics {
            write_lines(&file_of(folder, topic), records, "");
        }
        write_lines(&folder.join(PARTITIONS), &self.partitions, "");
        Inputs {
            databases: Databases {
                orders: Database::Sqlite(databases::orders(folder)),
                processing: Database::Sqlite(databases::processing(folder)),
            },
            topic_prefix: String::new(),
            journal: Some(journal),
            topics: folder.to_owned(),
        }
    }

    pub(crate) fn records(&mut self, topic: &str) -> &mut Vec<DumpedRecord> {
        let found = self.topics.iter_mut().find(|(name, _)| *name == topic);
        &mut found.unwrap().1
    }

    pub(crate) fn partition(&mut self, topic: &str, partition: i32) -> &mut DumpedPartition {
        let mut partitions = self.partitions.iter_mut();
        partitions
            .find(|it| it.topic == topic && it.partition == partition)
            .unwrap()
    }

    /// Removes an event from its topic, as if it had never been published.
    pub(crate) fn lose(&mut self, topic: &'static str, event_id: &str) {
        let records = self.records(topic);
        let lost = records
            .iter()
            .position(|record| topics::id_of(record) == event_id);
        let lost = records.remove(lost.unwrap());
        for record in records.iter_mut() {
            if record.partition == lost.partition && record.offset > lost.offset {
                record.offset -= 1;
            }
        }
        let partition = self.partition(topic, lost.partition);
        partition.end -= 1;
        partition
            .committed
            .values_mut()
            .for_each(|offset| *offset -= 1);
    }

    /// Appends a record to its partition, and commits its offset.
    pub(crate) fn publish(&mut self, topic: &'static str, mut record: DumpedRecord) {
        let partition = self.partition(topic, record.partition);
        record.offset = partition.end;
        partition.end += 1;
        partition
            .committed
            .values_mut()
            .for_each(|offset| *offset += 1);
        self.records(topic).push(record);
    }
}

fn write_lines<T: Serialize>(path: &Path, values: &[T], tail: &str) {
    let lines = values
        .iter()
        .map(|value| serde_json::to_string(value).unwrap() + "\n");
    std::fs::write(path, lines.collect::<String>() + tail).unwrap();
}
