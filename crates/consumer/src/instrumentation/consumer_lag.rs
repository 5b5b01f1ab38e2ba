//! Consumer lag per partition, in records and as the age of the oldest incomplete record.
//!
//! The end offsets come from librdkafka's statistics, which has them from fetching, so reading them needs no request. (A
//! query of the broker would block, and rdkafka does not expose the cached values.) A partition that is not fetched, because
//! of back-pressure, keeps its last known end: its lag is then a lower bound, and the age grows.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::tracker::Progress;
use telemetry::names::{attributes as attr, metrics};
use telemetry::vocabulary::Labels;

/// The gauges of the partitions assigned to this member; revoked ones are not reported.
#[derive(Debug)]
pub(crate) struct ConsumerLag {
    topic: Arc<str>,
    labels: Labels,
    partitions: Mutex<BTreeMap<i32, PartitionLag>>,
}

#[derive(Debug)]
struct PartitionLag {
    progress: Arc<Progress>,
    /// Unknown before the first fetch.
    ends: Option<Ends>,
}

/// Offsets of a partition in librdkafka's statistics; negative if unknown.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Ends {
    partition: i32,
    lo_offset: i64,
    hi_offset: i64,
    committed_offset: i64,
    /// Records that are fetched and not received yet.
    #[serde(default)]
    fetchq_cnt: u64,
}

#[derive(Deserialize)]
struct Statistics {
    topics: HashMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: HashMap<String, Ends>,
}

impl ConsumerLag {
    /// Registers the gauges. Once per consumer: a registration cannot be undone.
    pub(crate) fn new(topic: Arc<str>, labels: Labels) -> Arc<Self> {
        let consumer_lag = Arc::new(Self {
            topic,
            labels,
            partitions: Mutex::default(),
        });
        let observed = Arc::clone(&consumer_lag);
        metrics::KAFKA_CONSUMER_LAG.observe(move || observed.lags());
        let observed = Arc::clone(&consumer_lag);
        metrics::KAFKA_CONSUMER_OLDEST_AGE.observe_time(move || observed.oldest_age());
        consumer_lag
    }

    pub(crate) fn begin(&self, partition: i32, progress: Arc<Progress>) {
        let ends = None;
        let lag = PartitionLag { progress, ends };
        self.partitions().insert(partition, lag);
    }

    pub(crate) fn end(&self, partitions: &[i32]) {
        let mut current = self.partitions();
        for partition in partitions {
            current.remove(partition);
        }
    }

    /// Reads the end offsets from librdkafka's statistics.
    pub(crate) fn read(&self, statistics: &[u8]) {
        let Ok(mut statistics) = serde_json::from_slice::<Statistics>(statistics) else {
            tracing::debug!("kafka client statistics not readable");
            return;
        };
        let Some(topic) = statistics.topics.remove(&*self.topic) else {
            return;
        };
        let mut partitions = self.partitions();
        for ends in topic.partitions.into_values() {
            if let Some(lag) = partitions.get_mut(&ends.partition) {
                // Fetched records are received although they are deleted on the broker meanwhile.
                if ends.fetchq_cnt == 0 {
                    lag.progress.log_begins_at(ends.lo_offset);
                }
                lag.ends = Some(ends);
            }
        }
    }

    fn lags(&self) -> Vec<(u64, Labels)> {
        let partitions = self.partitions();
        let lag = |(partition, lag): (&i32, &PartitionLag)| {
            let partition = attr::MESSAGING_DESTINATION_PARTITION_ID.numbered(*partition);
            Some((lag.lag()?, self.labels.and(partition)))
        };
        partitions.iter().filter_map(lag).collect()
    }

    /// Zero if all records are complete; `None` without a partition.
    fn oldest_age(&self) -> Option<(Duration, Labels)> {
        let partitions = self.partitions();
        if partitions.is_empty() {
            return None;
        }
        let published = partitions
            .values()
            .filter_map(|of| of.progress.offsets().oldest);
        let age = published.min().map_or(Duration::ZERO, age_of);
        Some((age, self.labels.clone()))
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<i32, PartitionLag>> {
        // Consistent after every operation, so a panic elsewhere does not matter.
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartitionLag {
    fn lag(&self) -> Option<u64> {
        let ends = self.ends.filter(|ends| ends.hi_offset >= 0)?;
        // Before the first record the position is the committed offset, or the beginning.
        let begin = || ends.committed_offset.max(ends.lo_offset).max(0);
        let lowest = self.progress.offsets().lowest.unwrap_or_else(begin);
        // Records that arrived since the last statistics may be above their end offset.
        Some(u64::try_from(ends.hi_offset.saturating_sub(lowest)).unwrap_or(0))
    }
}

/// Zero if the clock of the producer is ahead.
fn age_of(unix_milliseconds: i64) -> Duration {
    let published = Duration::from_millis(u64::try_from(unix_milliseconds).unwrap_or(0));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().saturating_sub(published)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::OffsetTracker;

    const STATISTICS: &str = r#"{"topics": {
        "events": {"topic": "events", "partitions": {
            "3": {"partition": 3, "lo_offset": 10, "hi_offset": 100, "committed_offset": 40},
            "4": {"partition": 4, "lo_offset": 10, "hi_offset": 100, "committed_offset": -1001},
            "5": {"partition": 5, "lo_offset": -1001, "hi_offset": -1001, "committed_offset": 40},
            "-1": {"partition": -1, "lo_offset": -1001, "hi_offset": -1001, "committed_offset": -1001}
        }},
        "other": {"topic": "other", "partitions": {}}
    }}"#;

    fn consumer_lag(partitions: &[i32]) -> Arc<ConsumerLag> {
        let consumer_lag = ConsumerLag::new("events".into(), Labels::default());
        for partition in partitions {
            consumer_lag.begin(*partition, Arc::default());
        }
        consumer_lag.read(STATISTICS.as_bytes());
        consumer_lag
    }

    fn lags(consumer_lag: &ConsumerLag) -> Vec<u64> {
        consumer_lag
            .lags()
            .into_iter()
            .map(|(lag, _)| lag)
            .collect()
    }

    #[test]
    fn before_the_first_record_a_partition_lags_by_the_uncommitted_offsets() {
        assert_eq!(lags(&consumer_lag(&[3, 4])), [60, 90]);
    }

    #[test]
    fn a_partition_lags_by_its_incomplete_records() {
        let consumer_lag = consumer_lag(&[]);
        let (progress, mut tracker) = (Arc::<Progress>::default(), OffsetTracker::default());
        consumer_lag.begin(3, Arc::clone(&progress));
        consumer_lag.read(STATISTICS.as_bytes());
        for offset in [95, 96, 97] {
            tracker.receive(offset, None);
        }

        tracker.complete(96);
        progress.update_lag(&tracker);
        assert_eq!(lags(&consumer_lag), [5]);

        tracker.complete(95);
        progress.update_lag(&tracker);
        assert_eq!(lags(&consumer_lag), [3]);
    }

    #[test]
    fn unknown_and_revoked_partitions_are_not_reported() {
        let consumer_lag = consumer_lag(&[3, 5]);
        assert_eq!(lags(&consumer_lag), [60]);

        consumer_lag.end(&[3, 5]);

        assert!(lags(&consumer_lag).is_empty());
        assert_eq!(consumer_lag.oldest_age(), None);
    }

    #[test]
    fn the_age_is_that_of_the_oldest_incomplete_record() {
        let consumer_lag = consumer_lag(&[3]);
        assert_eq!(consumer_lag.oldest_age().unwrap().0, Duration::ZERO);
        let (progress, mut tracker) = (Arc::<Progress>::default(), OffsetTracker::default());
        consumer_lag.begin(4, Arc::clone(&progress));

        tracker.receive(7, Some(0));
        progress.update_lag(&tracker);

        assert!(consumer_lag.oldest_age().unwrap().0 > Duration::from_secs(1_000_000_000));
    }

    #[test]
    fn unreadable_statistics_change_nothing() {
        let consumer_lag = consumer_lag(&[3]);

        consumer_lag.read(b"{\"topics\": 7}");

        assert_eq!(lags(&consumer_lag), [60]);
    }
}
