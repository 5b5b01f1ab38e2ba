//! Records that were deleted before they were read: by retention, by an operator, or with a truncated log.
//!
//! librdkafka continues at the first record that is left (`auto.offset.reset`) and reports no error. Here each partition has
//! an expected offset: the committed one when it is assigned, then one above the last received record. A record above it,
//! or a log that begins above it, is a [`Jump`]. The begin of the log then decides whether records were deleted: above it,
//! offsets are missing where a compaction or the marker of a transaction was.
//!
//! A group without a committed offset expects nothing. It is new, or its offsets expired (`offsets.retention.minutes`): records
//! that were deleted meanwhile are not noticed.
//!
//! Not detected: a topic that was deleted and created again, whose offsets begin at 0.

use std::ops::Range;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

use crate::tracker::Progress;

/// Offsets that were expected and not received.
pub(crate) type Jump = Range<i64>;

/// Timeout of the request for committed offsets, which the group's coordinator answers, and which blocks a rebalance.
const COMMITTED: Duration = Duration::from_secs(5);

/// Timeout of the request for the begin of a log. It blocks the poll thread and is repeated after a failure.
const WATERMARKS: Duration = Duration::from_secs(1);

/// The committed offset of each of these partitions that has one.
pub(crate) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: &[i32],
) -> Result<Vec<(i32, i64)>, KafkaError> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(asked, COMMITTED)?;
    let elements = committed.elements();
    let offsets = elements.iter().filter_map(|element| {
        let offset = element.offset().to_raw().filter(|offset| *offset >= 0)?;
        Some((element.partition(), offset))
    });
    Ok(offsets.collect())
}

/// The parts of the partition's last jumps that were deleted. After a failed request, the next call decides.
pub(crate) fn deleted<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    progress: &Progress,
) -> Result<Vec<Jump>, KafkaError> {
    let jumps = progress.take_jumps();
    if jumps.is_empty() {
        return Ok(jumps);
    }
    match consumer.fetch_watermarks(topic, partition, WATERMARKS) {
        Ok((begin, _)) => Ok(jumps.iter().filter_map(|jump| below(jump, begin)).collect()),
        Err(error) => {
            progress.return_jumps(jumps);
            Err(error)
        }
    }
}

/// The part of a jump below the begin of the log.
fn below(jump: &Jump, begin: i64) -> Option<Jump> {
    let deleted = jump.start..jump.end.min(begin);
    (!deleted.is_empty()).then_some(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_offsets_below_the_begin_of_the_log_were_deleted() {
        for (begin, expected) in [
            (9, None),
            (10, None),
            (12, Some(10..12)),
            (15, Some(10..15)),
            (90, Some(10..15)),
        ] {
            assert_eq!(below(&(10..15), begin), expected, "{begin}");
        }
    }
}
