//! Reads all topics of the pair from the first record to the last and writes them into files.
//!
//! Partitions are assigned manually and nothing is committed, so no consumer group is affected. Group offsets are fetched
//! before partition ends, and ends before records: a dump of a running system is consistent, only a moment old.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use native_headers::{Header, read_native};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::Serialize;

use crate::topics::{Bytes, DumpedPartition, DumpedRecord, GROUPS, PARTITIONS, file_of};

/// Timeout of one broker call, and of the next record of a partition that has more.
const ANSWER: Duration = Duration::from_secs(10);

/// A broker answers the requests of a connection in turn, and holds a fetch that finds no record for this time: an offset
/// that is asked for meanwhile waits behind it. The ends are known, so no record is waited for.
const FETCH_WAIT_MILLISECONDS: &str = "10";

/// Prefetch per partition; librdkafka's default is 64 MiB each.
const READ_AHEAD_KIBIBYTES: &str = "4096";

/// Writes all topics of an installation into a directory, which is created if missing.
///
/// # Errors
/// When a topic is missing, the broker does not answer, or a file cannot be written.
pub async fn all_topics(brokers: &str, prefix: &str, directory: &Path) -> Result<()> {
    let dump = Dump {
        brokers: brokers.to_owned(),
        prefix: prefix.to_owned(),
        directory: directory.to_owned(),
    };
    // librdkafka blocks the calling thread.
    tokio::task::spawn_blocking(move || dump.write())
        .await?
        .context("cannot dump the topics")
}

struct Dump {
    brokers: String,
    /// In front of topics and groups at the broker.
    prefix: String,
    directory: PathBuf,
}

impl Dump {
    fn write(&self) -> Result<()> {
        fs::create_dir_all(&self.directory)?;
        let committed = self.committed()?;
        let reader = self.client("auditor")?;
        let mut partitions = JsonLines::create(&self.directory.join(PARTITIONS))?;
        for topic in proto::topics::ALL {
            let ends = self.ends(&reader, topic, &committed)?;
            self.write_records(&reader, topic, &ends)
                .with_context(|| format!("topic {topic}"))?;
            for partition in &ends {
                partitions.write(partition)?;
            }
        }
        partitions.finish()
    }

    fn client(&self, group: &str) -> Result<BaseConsumer> {
        let client = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", FETCH_WAIT_MILLISECONDS)
            // All records, including those of open transactions; the services use none.
            .set("isolation.level", "read_uncommitted")
            .set("queued.max.messages.kbytes", READ_AHEAD_KIBIBYTES)
            .create()?;
        Ok(client)
    }

    /// The name at the broker.
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The committed offsets of each group on its topic.
    fn committed(&self) -> Result<Committed> {
        let mut committed = Committed::new();
        for (topic, group) in GROUPS {
            let client = self.client(&self.name(group))?;
            let mut asked = TopicPartitionList::new();
            let name = self.name(topic);
            for partition in partitions_of(&client, &name)? {
                asked.add_partition(&name, partition);
            }
            let answers = client.committed_offsets(asked, ANSWER);
            for answer in answers
                .with_context(|| format!("offsets of {group}"))?
                .elements()
            {
                if let Offset::Offset(offset) = answer.offset() {
                    let place = (topic.to_owned(), answer.partition());
                    committed
                        .entry(place)
                        .or_default()
                        .insert(group.to_owned(), offset);
                }
            }
        }
        Ok(committed)
    }

    fn write_records(
        &self,
        reader: &BaseConsumer,
        topic: &str,
        partitions: &[DumpedPartition],
    ) -> Result<()> {
        let mut file = JsonLines::create(&file_of(&self.directory, topic))?;
        let mut left = BTreeMap::new();
        let mut assignment = TopicPartitionList::new();
        for partition in partitions.iter().filter(|it| it.low < it.end) {
            let start = Offset::Offset(partition.low);
            assignment.add_partition_offset(&self.name(topic), partition.partition, start)?;
            left.insert(partition.partition, partition.end);
        }
        reader.assign(&assignment)?;
        while !left.is_empty() {
            let Some(message) = reader.poll(ANSWER) else {
                bail!(
                    "no record received for {ANSWER:?}, but these partitions have more: {left:?}"
                );
            };
            let message = message?;
            // Records written during the dump are not part of it.
            let Some(end) = left.get(&message.partition()).copied() else {
                continue;
            };
            if message.offset() < end {
                file.write(&record_of(&message))?;
            }
            if message.offset() + 1 >= end {
                left.remove(&message.partition());
            }
        }
        file.finish()
    }

    fn ends(
        &self,
        reader: &BaseConsumer,
        topic: &str,
        committed: &Committed,
    ) -> Result<Vec<DumpedPartition>> {
        let name = self.name(topic);
        let mut ends = Vec::new();
        for partition in partitions_of(reader, &name)? {
            let (low, end) = reader.fetch_watermarks(&name, partition, ANSWER)?;
            let place = (topic.to_owned(), partition);
            ends.push(DumpedPartition {
                committed: committed.get(&place).cloned().unwrap_or_default(),
                topic: place.0,
                partition,
                low,
                end,
                deleted_unread: Vec::new(),
            });
        }
        Ok(ends)
    }
}

/// Offsets by topic and partition, then by group.
type Committed = BTreeMap<(String, i32), BTreeMap<String, i64>>;

fn partitions_of(client: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
    let metadata = client.fetch_metadata(Some(topic), ANSWER)?;
    let found = metadata.topics().iter().find(|it| it.name() == topic);
    let partitions = found.map_or(&[][..], |it| it.partitions());
    ensure!(!partitions.is_empty(), "there is no topic {topic}");
    Ok(partitions.iter().map(|partition| partition.id()).collect())
}

fn record_of(message: &BorrowedMessage<'_>) -> DumpedRecord {
    let bytes = |bytes: &[u8]| Bytes(bytes.to_vec());
    let headers = message.headers().map(read_native).unwrap_or_default();
    // Names that are not UTF-8 are no names of an event's headers.
    let named = |(name, value): Header| {
        let name = String::from_utf8_lossy(&name).into_owned();
        (name, Bytes(value.unwrap_or_default()))
    };
    DumpedRecord {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(bytes),
        headers: headers.into_iter().map(named).collect(),
        payload: message.payload().map(bytes),
    }
}

/// Writes a file of JSON lines.
struct JsonLines(BufWriter<File>);

impl JsonLines {
    fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(BufWriter::new(file)))
    }

    fn write(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.0, value)?;
        Ok(self.0.write_all(b"\n")?)
    }

    fn finish(mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}
