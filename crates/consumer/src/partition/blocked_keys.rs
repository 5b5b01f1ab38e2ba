//! The blocked keys of a partition: keys with events in the retry store, as one partition session knows them.
//!
//! A superset of the database, but for what a former owner of the partition adds late (harmless, see
//! [`crate::retry_store::database`]): sweepers and operators only remove rows, without notice. So a key that is not in here
//! is handled without a query, and a key that is costs one query per event
//! ([`crate::retry_store::RetryStore::store_behind`]), until the query finds it free.

use std::collections::HashSet;

use crate::retry_store::{self, BlockedKeySet, MAX_BLOCKED_KEYS};
use kafka::record::Record;

#[derive(Debug)]
pub(super) enum BlockedKeys {
    Keys(HashSet<Vec<u8>>),
    /// Above the memory limit: every key is queried until the next session.
    TooMany,
}

impl Default for BlockedKeys {
    fn default() -> Self {
        Self::Keys(HashSet::new())
    }
}

impl BlockedKeys {
    /// Adds the blocked keys of the database.
    pub(crate) fn load(&mut self, blocked: BlockedKeySet) {
        match blocked {
            BlockedKeySet::Keys(keys) => keys.into_iter().for_each(|key| self.insert(key)),
            BlockedKeySet::TooMany => *self = Self::TooMany,
        }
    }

    /// An event was moved to the retry store.
    pub(crate) fn block(&mut self, record: &Record) {
        if let Some(key) = retry_store::ordering_key(record) {
            self.insert(key.to_vec());
        }
    }

    /// An event was handled, so no event of its key is in the retry store.
    pub(crate) fn unblock(&mut self, record: &Record) {
        if let (Self::Keys(keys), Some(key)) = (self, retry_store::ordering_key(record)) {
            keys.remove(key);
        }
    }

    /// Whether the retry store may hold events of this key.
    pub(crate) fn may_hold(&self, record: &Record) -> bool {
        let Some(key) = retry_store::ordering_key(record) else {
            return false;
        };
        match self {
            Self::Keys(keys) => keys.contains(key),
            Self::TooMany => true,
        }
    }

    fn insert(&mut self, key: Vec<u8>) {
        let Self::Keys(keys) = self else {
            return;
        };
        keys.insert(key);
        if keys.len() > MAX_BLOCKED_KEYS {
            *self = Self::TooMany;
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

        blocked_keys.block(&a);
        assert!(blocked_keys.may_hold(&a));
        assert!(!blocked_keys.may_hold(&b));

        blocked_keys.unblock(&a);
        assert!(!blocked_keys.may_hold(&a));
    }

    #[test]
    fn a_key_that_was_blocked_before_the_database_answered_stays_blocked() {
        let mut blocked_keys = BlockedKeys::default();
        blocked_keys.block(&record(Some(b"a")));

        blocked_keys.load(BlockedKeySet::Keys(vec![b"b".to_vec()]));

        assert!(blocked_keys.may_hold(&record(Some(b"a"))));
        assert!(blocked_keys.may_hold(&record(Some(b"b"))));
    }

    #[test]
    fn a_record_without_an_ordering_key_blocks_nothing() {
        let mut blocked_keys = BlockedKeys::default();
        let long = [b'x'; retry_store::MAX_KEY + 1];

        for record in [record(None), record(Some(&long))] {
            blocked_keys.block(&record);
            assert!(!blocked_keys.may_hold(&record));
            blocked_keys.load(BlockedKeySet::TooMany);
            assert!(!blocked_keys.may_hold(&record));
        }
    }

    #[test]
    fn above_the_memory_limit_every_key_is_queried() {
        let mut blocked_keys = BlockedKeys::default();

        for key in 0..=MAX_BLOCKED_KEYS {
            blocked_keys.block(&record(Some(&key.to_be_bytes())));
        }

        assert!(blocked_keys.may_hold(&record(Some(b"any"))));
        blocked_keys.unblock(&record(Some(b"any")));
        assert!(blocked_keys.may_hold(&record(Some(b"any"))));
    }
}
