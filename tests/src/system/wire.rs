//! What went over the wire: the event topics read from end to end, as no consumer of the pair reads them.
//!
//! An event may come twice, after a crash between its publication and the note of it. Otherwise the order of an order's
//! events is kept: what comes for the first time comes in sequence, on one partition.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result, ensure};
use proto::topics;

use super::{System, TopicRecord};

/// What was counted on both event topics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wire {
    /// Records.
    pub records: usize,
    /// Records of events that had been there before.
    pub duplicates: usize,
}

impl System {
    /// Reads both event topics and checks the order of events.
    ///
    /// # Errors
    /// When the broker does not answer, or when events of one order are out of sequence or on several partitions.
    pub async fn wire(&self) -> Result<Wire> {
        let mut wire = Wire::default();
        for name in [topics::ORDER_EVENTS, topics::PROCESSING_EVENTS] {
            let records = self.topic(name).records().await?;
            wire.records += records.len();
            wire.duplicates += duplicates(&records).with_context(|| format!("topic {name}"))?;
        }
        Ok(wire)
    }
}

/// Where the events of one order are, and how far they go.
struct Sequence {
    partition: i32,
    last: u64,
}

/// Counts records seen before; checks the others.
pub(crate) fn duplicates(records: &[TopicRecord]) -> Result<usize> {
    let mut seen = HashSet::new();
    let mut sequences = HashMap::new();
    let mut duplicates = 0;
    for record in records {
        let id = record.header("ce_id").context("a record without an id")?;
        if !seen.insert(id) {
            duplicates += 1;
            continue;
        }
        let sequence = sequences
            .entry(record.key.as_deref().unwrap_or_default())
            .or_insert(Sequence {
                partition: record.partition,
                last: 0,
            });
        sequence.advance(record)?;
    }
    Ok(duplicates)
}

impl Sequence {
    fn advance(&mut self, record: &TopicRecord) -> Result<()> {
        let header = record.header("ce_sequence").context("no sequence")?;
        let next: u64 = header.parse().context("the sequence is no number")?;
        let order = record.header("ce_subject").unwrap_or_default();
        ensure!(
            next == self.last + 1,
            "event {next} of order {order} comes after event {}",
            self.last
        );
        ensure!(
            record.partition == self.partition,
            "the events of order {order} are on several partitions"
        );
        self.last = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(partition: i32, id: &str, sequence: &str) -> TopicRecord {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        TopicRecord {
            partition,
            offset: 0,
            key: Some(b"order".to_vec()),
            headers: vec![header("ce_id", id), header("ce_sequence", sequence)],
            payload: None,
        }
    }

    #[test]
    fn an_event_that_comes_again_is_counted_wherever_it_comes() {
        let records = [
            record(0, "a", "1"),
            record(0, "b", "2"),
            record(0, "a", "1"),
            record(0, "c", "3"),
        ];

        assert_eq!(duplicates(&records).unwrap(), 1);
    }

    #[test]
    fn events_out_of_sequence_or_on_two_partitions_are_found() {
        let gap = [record(0, "a", "1"), record(0, "c", "3")];
        let elsewhere = [record(0, "a", "1"), record(1, "b", "2")];

        assert!(duplicates(&gap).is_err());
        assert!(duplicates(&elsewhere).is_err());
    }
}
