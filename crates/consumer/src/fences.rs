//! The keys of a partition that have parked events, as one assignment knows them.
//!
//! A superset of the truth: only the work on this partition parks events of it, while rows disappear without a word, when
//! a sweeper or an operator is done with them. So a key that is not in here is handled without a look at the database,
//! and one that is costs a look ([`crate::retry_store::Parking::park_behind`]), until the look finds it open.

use std::collections::HashSet;

use crate::retry_store::{self, Fenced, MOST_FENCED_KEYS};

use kafka::record::Record;

/// The fenced keys.
#[derive(Debug)]
pub(super) struct Fences {
    fenced: Known,
}

#[derive(Debug)]
enum Known {
    Keys(HashSet<Vec<u8>>),
    /// More than are worth their memory: every key is looked up, until the next assignment.
    TooMany,
}

impl Default for Fences {
    fn default() -> Self {
        Self {
            fenced: Known::Keys(HashSet::new()),
        }
    }
}

impl Fences {
    /// Adds what the database knows.
    pub(super) fn load(&mut self, fenced: Fenced) {
        match fenced {
            Fenced::Keys(keys) => keys.into_iter().for_each(|key| self.insert(key)),
            Fenced::TooMany => self.fenced = Known::TooMany,
        }
    }

    /// An event was parked.
    pub(super) fn close(&mut self, record: &Record) {
        if let Some(key) = retry_store::ordering_key(record) {
            self.insert(key.to_vec());
        }
    }

    /// An event was handled, so nothing of its key is parked any more.
    pub(super) fn open(&mut self, record: &Record) {
        if let (Known::Keys(keys), Some(key)) = (&mut self.fenced, retry_store::ordering_key(record))
            && !keys.is_empty()
        {
            keys.remove(key);
        }
    }

    /// Whether events of this key may be parked.
    pub(super) fn may_hold(&self, record: &Record) -> bool {
        let Some(key) = retry_store::ordering_key(record) else {
            return false;
        };
        match &self.fenced {
            Known::Keys(keys) => keys.contains(key),
            Known::TooMany => true,
        }
    }

    fn insert(&mut self, key: Vec<u8>) {
        let Known::Keys(keys) = &mut self.fenced else {
            return;
        };
        keys.insert(key);
        if keys.len() > MOST_FENCED_KEYS {
            self.fenced = Known::TooMany;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&[u8]>) -> Record {
        Record {
            key: key.map(<[u8]>::to_vec),
            ..Record::default()
        }
    }

    #[test]
    fn a_key_is_fenced_from_its_first_parked_event_until_one_is_handled() {
        let mut fences = Fences::default();
        let (a, b) = (record(Some(b"a")), record(Some(b"b")));

        fences.close(&a);
        assert!(fences.may_hold(&a));
        assert!(!fences.may_hold(&b));

        fences.open(&a);
        assert!(!fences.may_hold(&a));
    }

    #[test]
    fn what_was_parked_before_the_database_answered_stays_fenced() {
        let mut fences = Fences::default();
        fences.close(&record(Some(b"a")));

        fences.load(Fenced::Keys(vec![b"b".to_vec()]));

        assert!(fences.may_hold(&record(Some(b"a"))));
        assert!(fences.may_hold(&record(Some(b"b"))));
    }

    #[test]
    fn a_record_without_a_key_that_has_an_order_fences_nothing() {
        let mut fences = Fences::default();
        let long = [b'x'; retry_store::LONGEST_KEY + 1];

        for record in [record(None), record(Some(&long))] {
            fences.close(&record);
            assert!(!fences.may_hold(&record));
            fences.load(Fenced::TooMany);
            assert!(!fences.may_hold(&record));
        }
    }

    #[test]
    fn beyond_what_is_kept_in_memory_every_key_is_looked_up() {
        let mut fences = Fences::default();

        for key in 0..=MOST_FENCED_KEYS {
            fences.close(&record(Some(&key.to_be_bytes())));
        }

        assert!(fences.may_hold(&record(Some(b"any"))));
        fences.open(&record(Some(b"any")));
        assert!(fences.may_hold(&record(Some(b"any"))));
    }
}
