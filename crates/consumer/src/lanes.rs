//! One lane per key: the in-flight event, and the events that wait behind it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka::record::Record;

/// The lane of a record, compared by its key. A record without a key has no order and gets a lane of its own, compared by
/// its offset. It shares the record, so that no key is copied.
#[derive(Clone, Debug)]
struct LaneKey(Arc<Record>);

impl LaneKey {
    fn parts(&self) -> (Option<&[u8]>, Option<i64>) {
        match self.0.key.as_deref() {
            Some(key) => (Some(key), None),
            None => (None, Some(self.0.offset)),
        }
    }
}

impl PartialEq for LaneKey {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for LaneKey {}

impl Hash for LaneKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

/// The records that wait behind the in-flight one.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    waiting: Mutex<VecDeque<Arc<Record>>>,
}

impl Lane {
    pub(crate) fn push(&self, record: Arc<Record>) {
        self.queue().push_back(record);
    }

    pub(crate) fn waiting(&self) -> Vec<Arc<Record>> {
        self.queue().iter().cloned().collect()
    }

    fn next(&self) -> Option<Arc<Record>> {
        self.queue().pop_front()
    }

    fn clear(&self) {
        self.queue().clear();
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Record>>> {
        // Consistent after every operation, so a panic elsewhere does not matter.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next record of a lane, to be started.
pub(crate) type Turn = (Arc<Record>, Arc<Lane>);

/// All lanes of a partition with an in-flight record.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: HashMap<LaneKey, Arc<Lane>>,
    records: usize,
}

impl Lanes {
    /// Adds a record; it is returned if no record of its key is in flight.
    pub(crate) fn enter(&mut self, record: Record) -> Option<Turn> {
        self.records += 1;
        let record = Arc::new(record);
        match self.lanes.entry(LaneKey(Arc::clone(&record))) {
            Entry::Occupied(lane) => {
                lane.get().push(record);
                None
            }
            Entry::Vacant(free) => Some((record, Arc::clone(free.insert(Arc::default())))),
        }
    }

    /// The in-flight record is done; the next of its key is returned.
    pub(crate) fn leave(&mut self, done: &Arc<Record>) -> Option<Turn> {
        let Entry::Occupied(lane) = self.lanes.entry(LaneKey(Arc::clone(done))) else {
            return None;
        };
        self.records -= 1;
        match lane.get().next() {
            Some(record) => Some((record, Arc::clone(lane.get()))),
            None => {
                lane.remove();
                None
            }
        }
    }

    /// Drops the records that have not started.
    pub(crate) fn drop_waiting(&mut self) {
        self.lanes.values().for_each(|lane| lane.clear());
        self.records = self.lanes.len();
    }

    /// In-flight and waiting records.
    pub(crate) fn len(&self) -> usize {
        self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, offset: i64) -> Record {
        Record {
            key: Some(key.as_bytes().to_vec()),
            offset,
            ..Record::default()
        }
    }

    fn offset(turn: Option<Turn>) -> Option<i64> {
        turn.map(|(record, _)| record.offset)
    }

    #[test]
    fn one_record_per_key_is_in_flight_and_the_next_follows_in_order() {
        let mut lanes = Lanes::default();
        let of_a = Arc::new(record("a", 0));

        assert_eq!(offset(lanes.enter(record("a", 1))), Some(1));
        assert_eq!(offset(lanes.enter(record("a", 2))), None);
        assert_eq!(offset(lanes.enter(record("a", 3))), None);

        assert_eq!(offset(lanes.leave(&of_a)), Some(2));
        assert_eq!(offset(lanes.leave(&of_a)), Some(3));
        assert_eq!(offset(lanes.leave(&of_a)), None);
        assert_eq!(lanes.len(), 0);
    }

    #[test]
    fn different_keys_and_keyless_records_do_not_wait_for_each_other() {
        let mut lanes = Lanes::default();
        let keyless = |offset| Record {
            offset,
            ..Record::default()
        };

        assert_eq!(offset(lanes.enter(record("a", 1))), Some(1));
        assert_eq!(offset(lanes.enter(record("b", 2))), Some(2));
        assert_eq!(offset(lanes.enter(keyless(3))), Some(3));
        assert_eq!(offset(lanes.enter(keyless(4))), Some(4));
    }

    #[test]
    fn the_in_flight_record_sees_its_followers() {
        let mut lanes = Lanes::default();
        let (_, lane) = lanes.enter(record("a", 1)).unwrap();

        lanes.enter(record("a", 2));

        assert_eq!(lane.waiting()[0].offset, 2);
    }

    #[test]
    fn waiting_records_can_be_dropped_while_running_ones_finish() {
        let mut lanes = Lanes::default();
        let of_a = Arc::new(record("a", 0));
        lanes.enter(record("a", 1));
        lanes.enter(record("a", 2));

        lanes.drop_waiting();

        assert_eq!(lanes.len(), 1);
        assert_eq!(offset(lanes.leave(&of_a)), None);
    }
}
