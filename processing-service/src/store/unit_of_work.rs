//! Computes the changes of one batch in memory.
//!
//! ```text
//! lock and read (sagas and stock of the batch) ─▶ apply each command, in order ─▶ write all changes ─▶ commit
//! ```
//!
//! A command sees the changes of earlier commands of its batch: of two orders for the last piece, the first gets it and
//! the second is rejected, in the same commit. All decisions are made in the domain. No I/O, so both engines share it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use consumer::inbox::{self, InboxEntry};
use outbox::OutboxRecord;
use proto::record::{self, EventMeta};
use proto::topics::PROCESSING_EVENTS;
use uuid::Uuid;

use super::processing_store::{Cause, OpenSaga, Opening, Recorded, StoreError};
use crate::conversion;
use crate::domain::stock;
use crate::domain::{
    Announcement, CaptureId, Demand, LedgerEntry, Money, OrderId, SagaEvent, SagaState, ShipmentId,
    Sku, StockLevel, StockMove, announced,
};

/// The steps of one saga that are committed together.
#[derive(Debug)]
pub(crate) enum StepCommand {
    Open(OpenSaga, Cause),
    Advance(OrderId, Vec<SagaEvent>, Cause),
}

impl StepCommand {
    fn order_id(&self) -> OrderId {
        match self {
            Self::Open(order, _) => order.order_id,
            Self::Advance(order_id, ..) => *order_id,
        }
    }
}

pub(crate) fn orders_of(batch: &[StepCommand]) -> BTreeSet<OrderId> {
    batch.iter().map(StepCommand::order_id).collect()
}

/// The SKUs whose stock a batch reads or may move. They are locked before anything is decided.
pub(crate) fn skus_of(batch: &[StepCommand], sagas: &HashMap<OrderId, Saga>) -> BTreeSet<Sku> {
    let demands = batch.iter().filter_map(|command| match command {
        StepCommand::Open(order, _) => (order.opening == Opening::Reserve).then_some(&order.demand),
        // The SKUs of a saga that this batch opens come from its Open command.
        StepCommand::Advance(order_id, events, _) => {
            let saga = sagas.get(order_id)?;
            let may_move = events.iter().any(SagaEvent::may_move_stock);
            may_move.then_some(&saga.demand)
        }
    });
    demands.flat_map(Demand::skus).cloned().collect()
}

/// The columns of a saga's row.
#[derive(Clone, Debug)]
pub(crate) struct Saga {
    pub(crate) state: SagaState,
    /// Number of the next published event of the order, from 1.
    pub(crate) next_sequence: u64,
    pub(crate) demand: Demand,
}

/// A saga of the batch, and how its row has to be written.
#[derive(Clone, Debug)]
struct PendingSaga {
    saga: Saga,
    change: RowChange,
}

/// Ordered: a later variant includes the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RowChange {
    None,
    Update,
    Insert,
}

/// The rows to write. Sagas are in the order of their ids and stock in SKU order, so that replicas lock rows in one order
/// and cannot deadlock.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) opened: Vec<(OrderId, Saga)>,
    pub(crate) advanced: Vec<(OrderId, Saga)>,
    pub(crate) stock: BTreeMap<Sku, StockLevel>,
    pub(crate) payments: Vec<(OrderId, CaptureId, Money)>,
    pub(crate) refunds: Vec<OrderId>,
    pub(crate) shipments: Vec<(OrderId, ShipmentId)>,
    pub(crate) outbox: Vec<Arc<OutboxRecord>>,
    pub(crate) inbox: Vec<InboxEntry>,
}

/// The state of a batch while its commands are applied.
#[derive(Debug)]
pub(crate) struct UnitOfWork {
    at: SystemTime,
    sagas: BTreeMap<OrderId, PendingSaga>,
    levels: HashMap<Sku, StockLevel>,
    changes: Changes,
}

impl UnitOfWork {
    /// Begins with the rows that were read.
    pub(crate) fn new(
        sagas: impl IntoIterator<Item = (OrderId, Saga)>,
        levels: HashMap<Sku, StockLevel>,
        at: SystemTime,
    ) -> Self {
        let change = RowChange::None;
        let pending = |(order_id, saga)| (order_id, PendingSaga { saga, change });
        Self {
            at,
            sagas: sagas.into_iter().map(pending).collect(),
            levels,
            changes: Changes::default(),
        }
    }

    pub(crate) fn apply(&mut self, command: &StepCommand) -> Result<Recorded, StoreError> {
        match command {
            StepCommand::Open(order, cause) => Ok(self.open(order, cause)),
            StepCommand::Advance(order_id, events, cause) => self.advance(*order_id, events, cause),
        }
    }

    pub(crate) fn into_changes(self) -> Changes {
        let mut changes = self.changes;
        for (order_id, row) in self.sagas {
            match row.change {
                RowChange::None => {}
                RowChange::Insert => changes.opened.push((order_id, row.saga)),
                RowChange::Update => changes.advanced.push((order_id, row.saga)),
            }
        }
        changes
    }

    fn open(&mut self, order: &OpenSaga, cause: &Cause) -> Recorded {
        let change = match self.sagas.get(&order.order_id) {
            None => RowChange::Insert,
            // For fault tests: with deduplication off, the saga begins again.
            Some(row) if inbox::is_off() => row.change.max(RowChange::Update),
            Some(row) => return Recorded::Duplicate(row.saga.state),
        };
        let saga = Saga {
            state: SagaState::Placed,
            next_sequence: 1,
            demand: order.demand.clone(),
        };
        let mut row = PendingSaga { saga, change };
        let event = self.opening_event(order);
        // Each opening event has a transition.
        self.step(order.order_id, &mut row, event, cause);
        let state = row.saga.state;
        self.sagas.insert(order.order_id, row);
        Recorded::New(state)
    }

    fn opening_event(&self, order: &OpenSaga) -> SagaEvent {
        match order.opening {
            Opening::Cancel => SagaEvent::CancellationRequested,
            Opening::Reserve => {
                match stock::check(&order.demand, |sku| self.levels.get(sku).copied()) {
                    Ok(()) => SagaEvent::StockReserved,
                    Err(rejection) => SagaEvent::StockRefused(rejection),
                }
            }
        }
    }

    /// Applies the events in order; new if one of them has a transition.
    fn advance(
        &mut self,
        order_id: OrderId,
        events: &[SagaEvent],
        cause: &Cause,
    ) -> Result<Recorded, StoreError> {
        let row = self.sagas.remove(&order_id);
        let mut row = row.ok_or(StoreError::NoSaga(order_id))?;
        let mut is_new = false;
        for event in events {
            is_new |= self.step(order_id, &mut row, event.clone(), cause);
        }
        if is_new {
            row.change = row.change.max(RowChange::Update);
        }
        let state = row.saga.state;
        self.sagas.insert(order_id, row);
        Ok(if is_new {
            Recorded::New(state)
        } else {
            Recorded::Duplicate(state)
        })
    }

    /// Whether the saga's state has a transition for the event; without one it is a no-op.
    fn step(
        &mut self,
        order_id: OrderId,
        row: &mut PendingSaga,
        event: SagaEvent,
        cause: &Cause,
    ) -> bool {
        let Ok(transition) = row.saga.state.on(event) else {
            return false;
        };
        row.saga.state = transition.state;
        if let Some(stock_move) = transition.stock {
            self.move_stock(&row.saga.demand, stock_move);
        }
        match transition.ledger {
            None => {}
            Some(LedgerEntry::Payment(id, amount)) => {
                self.changes.payments.push((order_id, id, amount));
            }
            Some(LedgerEntry::Refund) => self.changes.refunds.push(order_id),
            Some(LedgerEntry::Shipment(id)) => self.changes.shipments.push((order_id, id)),
        }
        if let Some(announcement) = transition.announcement {
            let sequence = row.saga.next_sequence;
            let record = outbox_record(order_id, sequence, announcement, cause, self.at);
            self.changes.outbox.push(record);
            row.saga.next_sequence += 1;
        }
        if transition.state.is_final() {
            self.changes.inbox.extend(cause.event);
        }
        true
    }

    fn move_stock(&mut self, demand: &Demand, stock_move: StockMove) {
        for (sku, pieces) in demand.iter() {
            let change = StockLevel::change(stock_move, pieces);
            // A SKU whose row was deleted has no level; the write then fails with StockChanged.
            if let Some(level) = self.levels.get_mut(sku) {
                *level = level.plus(change);
            }
            let sum = self.changes.stock.entry(sku.clone()).or_default();
            *sum = sum.plus(change);
        }
    }
}

/// The records of what a saga has announced so far, as they were published, but for the time.
pub(crate) fn announced_again(
    order_id: OrderId,
    saga: &Saga,
    payment: Option<(CaptureId, Money)>,
    cause: &Cause,
    at: SystemTime,
) -> Result<Vec<Arc<OutboxRecord>>, StoreError> {
    let count = saga.next_sequence.saturating_sub(1);
    let announced = announced(order_id, saga.state, count, payment);
    let announced = announced.ok_or(StoreError::Damaged(order_id))?;
    let records = (1..)
        .zip(announced)
        .map(|(sequence, announcement)| outbox_record(order_id, sequence, announcement, cause, at));
    Ok(records.collect())
}

fn outbox_record(
    order_id: OrderId,
    sequence: u64,
    announcement: Announcement,
    cause: &Cause,
    at: SystemTime,
) -> Arc<OutboxRecord> {
    let meta = EventMeta {
        id: event_id(order_id, sequence),
        order_id: order_id.as_uuid(),
        sequence,
        time: at,
    };
    let event = conversion::event(order_id, announcement);
    let record = record::encode(&meta, &event, &cause.trace);
    Arc::new(OutboxRecord {
        topic: PROCESSING_EVENTS.into(),
        key: order_id.to_string(),
        headers: record.headers,
        payload: record.payload,
    })
}

/// Namespace of event ids: a fixed random UUID.
const EVENTS: Uuid = Uuid::from_u128(0x3a51_0c0e_8f0d_4a7b_b6c4_7d2e_19f3_5e88);

/// Derived from order and sequence, so that an event that is published again has its old id. The first 48 bits are those of
/// the order's id, a time: ids of later orders are higher, which keeps inserts into the readers' inboxes local.
fn event_id(order_id: OrderId, sequence: u64) -> Uuid {
    // For fault tests: with deduplication off, an event that is decided again is another one.
    if inbox::is_off() {
        return Uuid::now_v7();
    }
    let order = order_id.as_uuid().into_bytes();
    let name = [order.as_slice(), &sequence.to_be_bytes()].concat();
    let mut id = Uuid::new_v5(&EVENTS, &name).into_bytes();
    id[..6].copy_from_slice(&order[..6]);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

#[cfg(test)]
mod tests;
