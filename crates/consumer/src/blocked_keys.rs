//! The keys of a partition that have parked events, as one assignment knows them.
//!
//! A superset of the truth: only the work on this partition parks events of it, while rows disappear without a word, when
//! a sweeper or an operator is done with them. So a key that is not in here is handled without a look at the database,
//! and one that is costs a look ([`crate::retry_store::RetryStore::store_behind`]), until the look finds it open.

use std::collections::HashSet;

use crate::retry_store::{self, BlockedKeySet, MAX_BLOCKED_KEYS};

use kafka::record::Record;

/// The fenced keys.
#[derive(Debug)]
pub(super) struct BlockedKeys {
    blocked: Known,
}

#[derive(Debug)]
enum Known {
    Keys(HashSet<Vec<u8>>),
    /// More than are worth their memory: every key is looked up, until the next assignment.
    TooMany,
}

impl Default for BlockedKeys {
    fn default() -> Self {
        Self {
            blocked: Known::Keys(HashSet::new()),
        }
    }
}

impl BlockedKeys {
    /// Adds what the database knows.
    pub(super) fn load(&mut self, blocked: BlockedKeySet) {
        match blocked {
            BlockedKeySet::Keys(keys) => keys.into_iter().for_each(|key| self.insert(key)),
            BlockedKeySet::TooMany => self.blocked = Known::TooMany,
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
        if let (Known::Keys(keys), Some(key)) =
            (&mut self.blocked, retry_store::ordering_key(record))
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
        match &self.blocked {
            Known::Keys(keys) => keys.contains(key),
            Known::TooMany => true,
        }
    }

    fn insert(&mut self, key: Vec<u8>) {
        let Known::Keys(keys) = &mut self.blocked else {
            return;
        };
        keys.insert(key);
        if keys.len() > MAX_BLOCKED_KEYS {
            self.blocked = Known::TooMany;
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
    fn a_key_is_blocked_from_its_first_retry_event_until_one_is_handled() {
        let mut blocked_keys = BlockedKeys::default();
        let (a, b) = (record(Some(b"a")), record(Some(b"b")));

        blocked_keys.close(&a);
        assert!(blocked_keys.may_hold(&a));
        assert!(!blocked_keys.may_hold(&b));

        blocked_keys.open(&a);
        assert!(!blocked_keys.may_hold(&a));
    }

    #[test]
    fn what_was_stored_before_the_database_answered_stays_blocked() {
        let mut blocked_keys = BlockedKeys::default();
        blocked_keys.close(&record(Some(b"a")));

        blocked_keys.load(BlockedKeySet::Keys(vec![b"b".to_vec()]));

        assert!(blocked_keys.may_hold(&record(Some(b"a"))));
        assert!(blocked_keys.may_hold(&record(Some(b"b"))));
    }

    #[test]
    fn a_record_without_a_key_that_has_an_order_blocks_nothing() {
        let mut blocked_keys = BlockedKeys::default();
        let long = [b'x'; retry_store::MAX_KEY + 1];

        for record in [record(None), record(Some(&long))] {
            blocked_keys.close(&record);
            assert!(!blocked_keys.may_hold(&record));
            blocked_keys.load(BlockedKeySet::TooMany);
            assert!(!blocked_keys.may_hold(&record));
        }
    }

    #[test]
    fn beyond_what_is_kept_in_memory_every_key_is_looked_up() {
        let mut blocked_keys = BlockedKeys::default();

        for key in 0..=MAX_BLOCKED_KEYS {
            blocked_keys.close(&record(Some(&key.to_be_bytes())));
        }

        assert!(blocked_keys.may_hold(&record(Some(b"any"))));
        blocked_keys.open(&record(Some(b"any")));
        assert!(blocked_keys.may_hold(&record(Some(b"any"))));
    }
}
