//! How far behind a consumer is: in messages for each of its partitions, and in time.
//!
//! The ends of the partitions are taken from librdkafka's statistics, which it knows from fetching: nobody is asked for
//! them and nobody waits. (A query of the broker would block, and the wrapper does not show what is cached.) A partition
//! that is not fetched, because enough of it waits here, keeps the end that it had: its lag is then at least what is
//! shown, and the age says how long that has been so.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::progress::Progress;
use telemetry::names::{attributes as attr, metrics};
use telemetry::vocabulary::Labels;

/// The partitions that are assigned to this member; what is given back is not shown any more.
#[derive(Debug)]
pub(super) struct ConsumerLag {
    topic: &'static str,
    /// What all of them have in common.
    labels: Labels,
    partitions: Mutex<BTreeMap<i32, PartitionLag>>,
}

#[derive(Debug)]
struct PartitionLag {
    progress: Arc<Progress>,
    /// Not known before the first fetch.
    ends: Option<Ends>,
}

/// What librdkafka knows of a partition; negative is what it does not know.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Ends {
    partition: i32,
    lo_offset: i64,
    hi_offset: i64,
    committed_offset: i64,
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
    /// None, and shown from now on. Once per consumer: what is observed cannot be taken back.
    pub(super) fn new(topic: &'static str, labels: Labels) -> Arc<Self> {
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

    /// A partition was assigned.
    pub(super) fn begin(&self, partition: i32, progress: Arc<Progress>) {
        let ends = None;
        let standing = PartitionLag { progress, ends };
        self.partitions().insert(partition, standing);
    }

    /// These were given back.
    pub(super) fn end(&self, partitions: &[i32]) {
        let mut consumer_lag = self.partitions();
        for partition in partitions {
            consumer_lag.remove(partition);
        }
    }

    /// Takes the ends of the partitions from librdkafka's statistics.
    pub(super) fn read(&self, statistics: &[u8]) {
        let Ok(mut statistics) = serde_json::from_slice::<Statistics>(statistics) else {
            tracing::debug!("statistics of the kafka client cannot be read");
            return;
        };
        let Some(topic) = statistics.topics.remove(self.topic) else {
            return;
        };
        let mut consumer_lag = self.partitions();
        for ends in topic.partitions.into_values() {
            if let Some(standing) = consumer_lag.get_mut(&ends.partition) {
                standing.ends = Some(ends);
            }
        }
    }

    fn lags(&self) -> Vec<(u64, Labels)> {
        let consumer_lag = self.partitions();
        let lag = |(partition, standing): (&i32, &PartitionLag)| {
            let partition = attr::MESSAGING_DESTINATION_PARTITION_ID.numbered(*partition);
            Some((standing.lag()?, self.labels.and(partition)))
        };
        consumer_lag.iter().filter_map(lag).collect()
    }

    /// Zero if all is done; nothing without a partition.
    fn oldest_age(&self) -> Option<(Duration, Labels)> {
        let consumer_lag = self.partitions();
        if consumer_lag.is_empty() {
            return None;
        }
        let published = consumer_lag.values().filter_map(|of| of.progress.oldest());
        let age = published.min().map_or(Duration::ZERO, age_of);
        Some((age, self.labels.clone()))
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<i32, PartitionLag>> {
        // Whole after every operation: a panic elsewhere does not spoil it.
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartitionLag {
    fn lag(&self) -> Option<u64> {
        let ends = self.ends.filter(|ends| ends.hi_offset >= 0)?;
        // Before the first record work begins where the group was, or at the beginning.
        let begin = || ends.committed_offset.max(ends.lo_offset).max(0);
        let lowest = self.progress.lowest().unwrap_or_else(begin);
        // What arrived since the last statistics may be ahead of the end that they told.
        Some(u64::try_from(ends.hi_offset.saturating_sub(lowest)).unwrap_or(0))
    }
}

/// A producer's clock may be ahead of ours: then it is as good as now.
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
        let consumer_lag = ConsumerLag::new("events", Labels::default());
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
    fn a_partition_lags_by_what_the_group_has_not_committed_before_anything_arrives() {
        assert_eq!(lags(&consumer_lag(&[3, 4])), [60, 90]);
    }

    #[test]
    fn a_partition_lags_by_what_is_not_done() {
        let consumer_lag = consumer_lag(&[]);
        let (progress, mut tracker) = (Arc::<Progress>::default(), OffsetTracker::default());
        consumer_lag.begin(3, Arc::clone(&progress));
        consumer_lag.read(STATISTICS.as_bytes());
        for offset in [95, 96, 97] {
            tracker.receive(offset, None);
        }

        tracker.complete(96);
        progress.show(&tracker);
        assert_eq!(lags(&consumer_lag), [5]);

        tracker.complete(95);
        progress.show(&tracker);
        assert_eq!(lags(&consumer_lag), [3]);
    }

    #[test]
    fn what_is_not_known_or_was_given_back_is_not_shown() {
        let consumer_lag = consumer_lag(&[3, 5]);
        assert_eq!(lags(&consumer_lag), [60]);

        consumer_lag.end(&[3, 5]);

        assert!(lags(&consumer_lag).is_empty());
        assert_eq!(consumer_lag.oldest_age(), None);
    }

    #[test]
    fn the_oldest_record_that_is_not_done_has_the_age() {
        let consumer_lag = consumer_lag(&[3]);
        assert_eq!(consumer_lag.oldest_age().unwrap().0, Duration::ZERO);
        let (progress, mut tracker) = (Arc::<Progress>::default(), OffsetTracker::default());
        consumer_lag.begin(4, Arc::clone(&progress));

        tracker.receive(7, Some(0));
        progress.show(&tracker);

        assert!(consumer_lag.oldest_age().unwrap().0 > Duration::from_secs(1_000_000_000));
    }

    #[test]
    fn statistics_of_another_form_change_nothing() {
        let consumer_lag = consumer_lag(&[3]);

        consumer_lag.read(b"{\"topics\": 7}");

        assert_eq!(lags(&consumer_lag), [60]);
    }
}
