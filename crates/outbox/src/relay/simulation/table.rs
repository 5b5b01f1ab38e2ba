//! The outbox table: a position is assigned at insertion, the row becomes visible at commit.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::planner::{READ_LIMIT, RowQuery};
use crate::outbox::OutboxRow;
use crate::shard::Shard;

/// A row. The broker rejects a poison row permanently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) key: usize,
    pub(super) is_poison: bool,
}

/// The committed rows and the locks of open transactions.
#[derive(Debug)]
pub(super) struct OutboxTable {
    /// Whether transactions overlap.
    is_shared: bool,
    pub(super) rows: BTreeMap<i64, Stored>,
    by_key: Vec<BTreeSet<i64>>,
    names: Vec<(String, Shard)>,
    next_seq: i64,
    /// Keys that an open transaction has locked.
    locked: HashSet<usize>,
}

impl OutboxTable {
    pub(super) fn new(keys: usize, is_shared: bool) -> Self {
        let names = (0..keys).map(|key| format!("key-{key}"));
        Self {
            is_shared,
            rows: BTreeMap::new(),
            by_key: vec![BTreeSet::new(); keys],
            names: names.map(|name| (name.clone(), Shard::of(&name))).collect(),
            next_seq: 1,
            locked: HashSet::new(),
        }
    }

    pub(super) fn shard(&self, key: usize) -> Shard {
        self.names[key].1
    }

    /// Inserts a row into an open transaction, behind the lock of its key: `None` while another has it.
    pub(super) fn insert(&mut self, key: usize) -> Option<i64> {
        if !self.locked.insert(key) {
            return None;
        }
        self.next_seq += 1;
        Some(self.next_seq)
    }

    pub(super) fn commit(&mut self, seq: i64, row: Stored) {
        self.rows.insert(seq, row);
        self.by_key[row.key].insert(seq);
        self.locked.remove(&row.key);
    }

    pub(super) fn roll_back(&mut self, key: usize) {
        self.locked.remove(&key);
    }

    pub(super) fn read(&self, query: &RowQuery) -> Vec<OutboxRow> {
        let rows = self.rows.range(query.after.saturating_add(1)..);
        let wanted = rows.filter(|(seq, row)| {
            // The SQLite implementation ignores both conditions.
            !self.is_shared
                || (query.shards.binary_search(&self.shard(row.key)).is_ok()
                    && query.except.binary_search(seq).is_err())
        });
        wanted
            .take(READ_LIMIT as usize)
            .map(|(seq, row)| self.outbox_row(*seq, *row))
            .collect()
    }

    fn outbox_row(&self, seq: i64, row: Stored) -> OutboxRow {
        let (key, shard) = self.names[row.key].clone();
        let predecessor = self.by_key[row.key].range(..seq).next_back().copied();
        OutboxRow {
            seq,
            shard,
            predecessor: predecessor.filter(|_| self.is_shared),
            topic: String::new(),
            key,
            headers: Ok(Vec::new()),
            payload: Vec::new(),
        }
    }

    /// Removes a row; `false` if there is none.
    pub(super) fn delete(&mut self, seq: i64) -> bool {
        let row = self.rows.remove(&seq);
        row.is_some_and(|row| self.by_key[row.key].remove(&seq))
    }

    /// The poison rows.
    pub(super) fn poison(&self) -> Vec<i64> {
        let rows = self.rows.iter().filter(|(_, row)| row.is_poison);
        rows.map(|(seq, _)| *seq).collect()
    }

    /// The keys that have a poison row.
    pub(super) fn poisoned_keys(&self) -> HashSet<usize> {
        let rows = self.rows.values().filter(|row| row.is_poison);
        rows.map(|row| row.key).collect()
    }

    pub(super) fn fix(&mut self, seq: i64) {
        let row = self.rows.get_mut(&seq);
        row.into_iter().for_each(|row| row.is_poison = false);
    }
}
