//! Completes a dump with the records of an earlier one that the broker has deleted since.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::topics::{DumpedPartition, DumpedRecord, PARTITIONS, file_of, read};

/// Notes in a dump that the broker is about to delete all records of a topic. Returns the partitions of the topic.
///
/// # Errors
/// When a file cannot be read or written.
pub fn note_deletion(directory: &Path, topic: &str, group: &str) -> Result<Vec<DumpedPartition>> {
    let mut partitions = partitions(directory)?;
    for partition in partitions.iter_mut().filter(|it| it.topic == topic) {
        let read = partition.committed.get(group).copied().unwrap_or(0);
        partition.deleted_unread.push(read..partition.end);
    }
    write(&directory.join(PARTITIONS), partitions.iter().map(Ok))?;
    partitions.retain(|partition| partition.topic == topic);
    Ok(partitions)
}

/// Adds the records of the dump in `earlier` to the one in `directory` that lie before its first ones. A record that was in
/// neither is missing afterwards, and the audit says so.
///
/// # Errors
/// When a file cannot be read or written.
pub fn add_deleted(earlier: &Path, directory: &Path) -> Result<()> {
    let before = partitions(earlier)?;
    let mut partitions = partitions(directory)?;
    for topic in proto::topics::ALL {
        let of_topic = partitions
            .iter()
            .filter(|partition| partition.topic == topic);
        let low: BTreeMap<i32, i64> = of_topic
            .map(|partition| (partition.partition, partition.low))
            .collect();
        add_records(earlier, directory, topic, &low)?;
    }
    for partition in &mut partitions {
        let place = |it: &&DumpedPartition| {
            (&*it.topic, it.partition) == (&*partition.topic, partition.partition)
        };
        if let Some(before) = before.iter().find(place) {
            partition.low = partition.low.min(before.low);
            partition.deleted_unread = before.deleted_unread.clone();
        }
    }
    write(&directory.join(PARTITIONS), partitions.iter().map(Ok))
}

fn partitions(directory: &Path) -> Result<Vec<DumpedPartition>> {
    read(&directory.join(PARTITIONS))?.collect()
}

fn add_records(
    earlier: &Path,
    directory: &Path,
    topic: &str,
    low: &BTreeMap<i32, i64>,
) -> Result<()> {
    let file = file_of(directory, topic);
    let is_deleted = |record: &Result<DumpedRecord>| match record {
        Ok(record) => low
            .get(&record.partition)
            .is_some_and(|low| record.offset < *low),
        Err(_) => true,
    };
    let deleted = read(&file_of(earlier, topic))?.filter(is_deleted);
    let left = read::<DumpedRecord>(&file)?;
    let whole = directory.join("whole.jsonl");
    write(&whole, deleted.chain(left))?;
    Ok(fs::rename(whole, file)?)
}

fn write<T: Serialize>(path: &Path, values: impl Iterator<Item = Result<T>>) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for value in values {
        serde_json::to_writer(&mut file, &value?)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
mod tests {
    use super::*;

    const TOPIC: &str = proto::topics::ORDER_EVENTS;
    const GROUP: &str = "group";

    fn record(partition: i32, offset: i64) -> DumpedRecord {
        DumpedRecord {
            partition,
            offset,
            timestamp: None,
            key: None,
            headers: Vec::new(),
            payload: None,
        }
    }

    /// A dump with these ranges of offsets of the partitions of one topic.
    fn dump(directory: &Path, ranges: &[std::ops::Range<i64>]) {
        for topic in proto::topics::ALL {
            write::<DumpedRecord>(&file_of(directory, topic), std::iter::empty()).unwrap();
        }
        let (mut records, mut partitions) = (Vec::new(), Vec::new());
        for (partition, range) in (0..).zip(ranges) {
            records.extend(range.clone().map(|offset| Ok(record(partition, offset))));
            partitions.push(Ok(DumpedPartition {
                topic: TOPIC.to_owned(),
                partition,
                low: range.start,
                end: range.end,
                committed: BTreeMap::new(),
                deleted_unread: Vec::new(),
            }));
        }
        write(&file_of(directory, TOPIC), records.into_iter()).unwrap();
        write(&directory.join(PARTITIONS), partitions.into_iter()).unwrap();
    }

    #[test]
    fn deleted_records_are_added_once_and_before_the_others() {
        let (earlier, later) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        dump(earlier.path(), &[0..3, 0..2]);
        // Of the second partition nothing was deleted.
        dump(later.path(), &[3..5, 0..4]);

        add_deleted(earlier.path(), later.path()).unwrap();

        let records = read::<DumpedRecord>(&file_of(later.path(), TOPIC)).unwrap();
        let of = |wanted: i32, records: &[DumpedRecord]| -> Vec<i64> {
            let of_partition = records.iter().filter(|record| record.partition == wanted);
            of_partition.map(|record| record.offset).collect()
        };
        let records: Vec<_> = records.map(Result::unwrap).collect();
        assert_eq!(of(0, &records), [0, 1, 2, 3, 4]);
        assert_eq!(of(1, &records), [0, 1, 2, 3]);
        let bounds: Vec<_> = partitions(later.path())
            .unwrap()
            .iter()
            .map(|partition| (partition.low, partition.end))
            .collect();
        assert_eq!(bounds, [(0, 5), (0, 4)]);
    }

    /// Also if the broker was killed after the deletion and has the records again.
    #[test]
    fn offsets_that_were_deleted_unread_stay_noted() {
        let dumps = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [first, second, third] = dumps.each_ref().map(tempfile::TempDir::path);
        dump(first, &[0..4, 0..1]);
        commit(first, 0, 2);
        dump(second, &[4..7, 0..1]);
        commit(second, 0, 6);
        commit(second, 1, 1);
        dump(third, &[0..8, 1..1]);

        note_deletion(first, TOPIC, GROUP).unwrap();
        add_deleted(first, second).unwrap();
        note_deletion(second, TOPIC, GROUP).unwrap();
        add_deleted(second, third).unwrap();

        let partitions = partitions(third).unwrap();
        let unread = partitions.iter().map(|it| it.deleted_unread.clone());
        assert_eq!(
            unread.collect::<Vec<_>>(),
            [vec![2..4, 6..7], vec![0..1, 1..1]]
        );
    }

    /// Sets the committed offset of a partition in a dump.
    fn commit(directory: &Path, partition: usize, offset: i64) {
        let mut partitions = partitions(directory).unwrap();
        let committed = &mut partitions[partition].committed;
        committed.insert(GROUP.to_owned(), offset);
        write(&directory.join(PARTITIONS), partitions.iter().map(Ok)).unwrap();
    }
}
