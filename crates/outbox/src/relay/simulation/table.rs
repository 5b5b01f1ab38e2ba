//! The outbox table: a position is assigned at insertion, the row becomes visible at commit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::super::planner::{PositionQuery, SCAN_LIMIT};
use crate::outbox::{OutboxRecord, OutboxRow};
use crate::shard::Shard;

/// A row. The broker rejects a poison row permanently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) key: usize,
    pub(super) is_poison: bool,
}

/// A row in an open transaction, with its predecessor in the table when it was inserted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inserted {
    pub(super) seq: i64,
    pub(super) row: Stored,
    predecessor: Option<i64>,
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
    pub(super) fn insert(&mut self, row: Stored) -> Option<Inserted> {
        if !self.locked.insert(row.key) {
            return None;
        }
        self.next_seq += 1;
        let predecessor = self.by_key[row.key].last().copied();
        Some(Inserted {
            seq: self.next_seq,
            row,
            predecessor: predecessor.filter(|_| self.is_shared),
        })
    }

    pub(super) fn commit(&mut self, seq: i64, row: Stored) {
        self.rows.insert(seq, row);
        self.by_key[row.key].insert(seq);
        self.locked.remove(&row.key);
    }

    pub(super) fn roll_back(&mut self, key: usize) {
        self.locked.remove(&key);
    }

    pub(super) fn positions(&self, query: &PositionQuery) -> Vec<i64> {
        let rows = self.rows.range(query.after.saturating_add(1)..);
        // The SQLite implementation ignores the shards.
        let wanted = rows.filter(|(_, row)| {
            !self.is_shared || query.shards.binary_search(&self.shard(row.key)).is_ok()
        });
        let positions = wanted.map(|(seq, _)| *seq);
        positions.take(SCAN_LIMIT as usize).collect()
    }

    pub(super) fn read(&self, positions: &[i64]) -> Vec<OutboxRow> {
        let rows = positions.iter().filter_map(|seq| {
            let key = self.rows.get(seq)?.key;
            let predecessor = self.by_key[key].range(..seq).next_back().copied();
            let predecessor = predecessor.filter(|_| self.is_shared);
            Some(self.outbox_row(*seq, key, predecessor))
        });
        rows.collect()
    }

    pub(super) fn handed_over(&self, inserted: &Inserted) -> OutboxRow {
        self.outbox_row(inserted.seq, inserted.row.key, inserted.predecessor)
    }

    fn outbox_row(&self, seq: i64, key: usize, predecessor: Option<i64>) -> OutboxRow {
        let (key, shard) = self.names[key].clone();
        let record = OutboxRecord {
            topic: "".into(),
            key,
            headers: Vec::new(),
            payload: Vec::new(),
        };
        OutboxRow {
            seq,
            shard,
            predecessor,
            record: Arc::new(record),
            damaged: None,
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
