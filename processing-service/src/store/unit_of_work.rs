//! What one commit changes, worked out in memory.
//!
//! ```text
//! load (sagas and stock that the batch touches) ─▶ apply each command, in order ─▶ write all changes ─▶ commit
//! ```
//!
//! Commands of one batch see what the ones before them did: of two orders that want the last piece, the first gets it
//! and the second is rejected, in the same commit. All decisions are the domain's; this file only carries them from
//! command to command. It does no I/O, so every database's store shares it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::SystemTime;

use consumer::inbox::{self, InboxEntry};
use outbox::OutboxRecord;
use proto::record::{self, EventMeta};
use proto::topics::PROCESSING_EVENTS;
use uuid::Uuid;

use super::{Cause, OpenSaga, Opening, Recorded, StoreError};
use crate::conversion;
use crate::domain::stock;
use crate::domain::{
    Announcement, CaptureId, Demand, Money, OrderId, Record, SagaEvent, SagaState, ShipmentId, Sku,
    StockLevel, StockMove,
};

/// One step of one saga, waiting for its commit.
#[derive(Debug)]
pub(crate) enum Command {
    /// Begin the saga.
    Open(OpenSaga, Cause),
    /// Advance it.
    Advance(OrderId, SagaEvent, Cause),
}

impl Command {
    fn order_id(&self) -> OrderId {
        match self {
            Self::Open(order, _) => order.order_id,
            Self::Advance(order_id, ..) => *order_id,
        }
    }
}

/// The orders that a batch is about.
pub(crate) fn orders_of(batch: &[Command]) -> BTreeSet<OrderId> {
    batch.iter().map(Command::order_id).collect()
}

/// The SKUs whose stock a batch looks at or may move. Its transaction holds all of them before anything is decided.
pub(crate) fn skus_of(batch: &[Command], sagas: &HashMap<OrderId, Saga>) -> BTreeSet<Sku> {
    let demands = batch.iter().filter_map(|command| match command {
        Command::Open(order, _) => (order.opening == Opening::Reserve).then_some(&order.demand),
        // What is opened in this very batch has its SKUs from the line above.
        Command::Advance(order_id, event, _) => {
            let saga = sagas.get(order_id)?;
            event.may_move_stock().then_some(&saga.demand)
        }
    });
    demands.flat_map(Demand::skus).cloned().collect()
}

/// A saga as its row holds it.
#[derive(Clone, Debug)]
pub(crate) struct Saga {
    pub(crate) state: SagaState,
    /// Number of the next event that is announced about the order.
    pub(crate) next_sequence: u64,
    pub(crate) demand: Demand,
}

/// A saga and what has to be done to its row.
#[derive(Clone, Debug)]
struct Row {
    saga: Saga,
    change: RowChange,
}

/// What has to be done to a saga's row; the greater covers the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RowChange {
    None,
    Update,
    Insert,
}

/// What the batch changes, ready to be written. Sagas are in the order of their ids and stock in SKU order, so that
/// databases with row locks take them in one order and cannot deadlock.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) opened: Vec<(OrderId, Saga)>,
    pub(crate) advanced: Vec<(OrderId, Saga)>,
    pub(crate) stock: BTreeMap<Sku, StockLevel>,
    pub(crate) payments: Vec<(OrderId, CaptureId, Money)>,
    pub(crate) refunds: Vec<OrderId>,
    pub(crate) shipments: Vec<(OrderId, ShipmentId)>,
    pub(crate) outbox: Vec<OutboxRecord>,
    pub(crate) inbox: Vec<InboxEntry>,
}

/// The state of a batch while its commands are applied.
#[derive(Debug)]
pub(crate) struct UnitOfWork {
    at: SystemTime,
    sagas: BTreeMap<OrderId, Row>,
    levels: HashMap<Sku, StockLevel>,
    changes: Changes,
}

impl UnitOfWork {
    /// Begins with what the database holds.
    pub(crate) fn new(
        sagas: impl IntoIterator<Item = (OrderId, Saga)>,
        levels: HashMap<Sku, StockLevel>,
        at: SystemTime,
    ) -> Self {
        let change = RowChange::None;
        let rows = sagas
            .into_iter()
            .map(|(order_id, saga)| (order_id, Row { saga, change }));
        let sagas = rows.collect();
        Self {
            at,
            sagas,
            levels,
            changes: Changes::default(),
        }
    }

    /// Applies the next command.
    pub(crate) fn apply(&mut self, command: &Command) -> Result<Recorded, StoreError> {
        match command {
            Command::Open(order, cause) => Ok(self.open(order, cause)),
            Command::Advance(order_id, event, cause) => self.advance(*order_id, event, cause),
        }
    }

    /// All that the commands changed.
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
            // The saga is what remembers the event: without a memory it begins anew.
            Some(row) if inbox::is_off() => row.change.max(RowChange::Update),
            Some(row) => return Recorded::Duplicate(row.saga.state),
        };
        let saga = Saga {
            state: SagaState::Placed,
            next_sequence: 1,
            demand: order.demand.clone(),
        };
        let event = self.opening_event(order);
        self.step(order.order_id, Row { saga, change }, event, cause)
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

    fn advance(
        &mut self,
        order_id: OrderId,
        event: &SagaEvent,
        cause: &Cause,
    ) -> Result<Recorded, StoreError> {
        let Some(mut row) = self.sagas.get(&order_id).cloned() else {
            return Err(StoreError::NoSaga(order_id));
        };
        if row.change == RowChange::None {
            row.change = RowChange::Update;
        }
        Ok(self.step(order_id, row, event.clone(), cause))
    }

    /// Takes one step, if the saga's state has a place for it.
    fn step(
        &mut self,
        order_id: OrderId,
        mut row: Row,
        event: SagaEvent,
        cause: &Cause,
    ) -> Recorded {
        let Ok(transition) = row.saga.state.on(event) else {
            return Recorded::Duplicate(row.saga.state);
        };
        row.saga.state = transition.state;
        if let Some(stock_move) = transition.stock {
            self.move_stock(&row.saga.demand, stock_move);
        }
        if let Some(record) = transition.record {
            self.keep(order_id, record);
        }
        if let Some(announcement) = transition.announcement {
            let record = self.outbox_record(order_id, row.saga.next_sequence, announcement, cause);
            self.changes.outbox.push(record);
            row.saga.next_sequence += 1;
        }
        if transition.state.is_final() {
            self.changes.inbox.push(cause.event);
        }
        self.sagas.insert(order_id, row);
        Recorded::New(transition.state)
    }

    fn move_stock(&mut self, demand: &Demand, stock_move: StockMove) {
        for (sku, pieces) in demand.iter() {
            let change = StockLevel::change(stock_move, pieces);
            // A SKU whose row is gone has no level; the write finds that out.
            if let Some(level) = self.levels.get_mut(sku) {
                *level = level.plus(change);
            }
            let sum = self.changes.stock.entry(sku.clone()).or_default();
            *sum = sum.plus(change);
        }
    }

    fn keep(&mut self, order_id: OrderId, record: Record) {
        match record {
            Record::Payment(id, amount) => self.changes.payments.push((order_id, id, amount)),
            Record::Refund => self.changes.refunds.push(order_id),
            Record::Shipment(shipment) => self.changes.shipments.push((order_id, shipment)),
        }
    }

    fn outbox_record(
        &self,
        order_id: OrderId,
        sequence: u64,
        announcement: Announcement,
        cause: &Cause,
    ) -> OutboxRecord {
        let meta = EventMeta {
            id: Uuid::now_v7(),
            order_id: order_id.as_uuid(),
            sequence,
            time: self.at,
        };
        let record = record::encode(
            &meta,
            &conversion::event(order_id, announcement),
            &cause.trace,
        );
        OutboxRecord {
            topic: PROCESSING_EVENTS,
            key: order_id.to_string(),
            headers: record.headers,
            payload: record.payload,
        }
    }
}

#[cfg(test)]
mod tests;
