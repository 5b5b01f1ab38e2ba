//! Rules of a batch: by example, and as properties over random orders, events and batch boundaries.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{Currency, Quantity, Rejection, RejectionReason};

/// A database in memory with the reads and writes of the real engines.
#[derive(Default)]
struct Memory {
    sagas: HashMap<OrderId, Saga>,
    stock: HashMap<Sku, StockLevel>,
    outbox: Vec<Arc<OutboxRecord>>,
    inbox: Vec<InboxEntry>,
}

impl Memory {
    fn with_stock(stock: &[(&str, i64)]) -> Self {
        let levels = stock
            .iter()
            .map(|&(name, pieces)| (sku(name), StockLevel::opening(pieces)));
        Self {
            stock: levels.collect(),
            ..Self::default()
        }
    }

    fn commit(&mut self, batch: &[StepCommand]) -> Vec<Recorded> {
        let mut sagas = self.sagas.clone();
        let orders = orders_of(batch);
        sagas.retain(|order_id, _| orders.contains(order_id));
        let mut levels = self.stock.clone();
        let held = skus_of(batch, &sagas);
        levels.retain(|sku, _| held.contains(sku));
        let mut work = UnitOfWork::new(sagas, levels, SystemTime::UNIX_EPOCH);

        let replies = batch
            .iter()
            .map(|command| work.apply(command).unwrap())
            .collect();

        let changes = work.into_changes();
        for (sku, change) in changes.stock {
            assert!(held.contains(&sku), "{sku:?} is moved without being held");
            let level = self.stock.get_mut(&sku).unwrap();
            *level = level
                .after(change)
                .expect("no batch takes more than there is");
        }
        self.sagas.extend(changes.opened);
        self.sagas.extend(changes.advanced);
        self.outbox.extend(changes.outbox);
        self.inbox.extend(changes.inbox);
        replies
    }

    fn level(&self, name: &str) -> (i64, i64, i64) {
        let level = self.stock[&sku(name)];
        (level.available, level.reserved, level.shipped)
    }
}

fn sku(name: &str) -> Sku {
    Sku::parse(name).unwrap()
}

fn order_id(number: u128) -> OrderId {
    OrderId::new(Uuid::from_u128(number))
}

fn cause(order_id: OrderId) -> Cause {
    let event = InboxEntry {
        event_id: order_id.as_uuid(),
        key: order_id.as_uuid(),
        sequence: 1,
    };
    Cause {
        event: Some(event),
        trace: [].into(),
    }
}

fn open(number: u128, opening: Opening, lines: &[(&str, i32)]) -> StepCommand {
    let lines = lines
        .iter()
        .map(|&(name, pieces)| (sku(name), Quantity::new(pieces).unwrap()));
    let order = OpenSaga {
        order_id: order_id(number),
        demand: Demand::of(lines),
        opening,
    };
    StepCommand::Open(order, cause(order_id(number)))
}

fn advance(number: u128, event: SagaEvent) -> StepCommand {
    advance_by(number, vec![event])
}

fn advance_by(number: u128, events: Vec<SagaEvent>) -> StepCommand {
    StepCommand::Advance(order_id(number), events, cause(order_id(number)))
}

fn captured() -> SagaEvent {
    let amount = Money::new(Currency::parse("GBP").unwrap(), 255).unwrap();
    SagaEvent::PaymentCaptured(CaptureId::new("cap_1"), amount)
}

fn shipped(number: u128) -> SagaEvent {
    SagaEvent::Shipped(ShipmentId::of(order_id(number)))
}

#[test]
fn of_two_orders_in_one_batch_the_first_gets_the_last_piece() {
    let mut memory = Memory::with_stock(&[("A", 1)]);
    let batch = [1, 2].map(|number| open(number, Opening::Reserve, &[("A", 1)]));

    let replies = memory.commit(&batch);

    let refused = SagaState::Rejected(RejectionReason::OutOfStock);
    assert_eq!(
        replies,
        [Recorded::New(SagaState::Reserved), Recorded::New(refused)]
    );
    assert_eq!(memory.level("A"), (0, 1, 0));
}

#[test]
fn a_released_piece_can_be_reserved_in_the_same_batch() {
    let mut memory = Memory::with_stock(&[("A", 1)]);
    memory.commit(&[open(1, Opening::Reserve, &[("A", 1)])]);
    let batch = [
        advance(1, SagaEvent::PaymentDeclined),
        open(2, Opening::Reserve, &[("A", 1)]),
    ];

    let replies = memory.commit(&batch);

    assert_eq!(replies[1], Recorded::New(SagaState::Reserved));
    assert_eq!(memory.level("A"), (0, 1, 0));
}

#[test]
fn an_order_that_is_twice_in_a_batch_is_opened_once() {
    let mut memory = Memory::with_stock(&[("A", 5)]);
    let batch = [1, 1].map(|number| open(number, Opening::Reserve, &[("A", 2)]));

    let replies = memory.commit(&batch);

    let reserved = SagaState::Reserved;
    assert_eq!(
        replies,
        [Recorded::New(reserved), Recorded::Duplicate(reserved)]
    );
    assert_eq!(memory.level("A"), (3, 2, 0));
    assert_eq!(memory.outbox.len(), 1);
}

#[test]
fn a_rejected_order_reserves_nothing_for_its_batch() {
    let mut memory = Memory::with_stock(&[("A", 5), ("B", 0)]);
    let batch = [
        open(1, Opening::Reserve, &[("A", 5), ("B", 1)]),
        open(2, Opening::Reserve, &[("A", 5)]),
    ];

    memory.commit(&batch);

    assert_eq!(memory.level("A"), (0, 5, 0));
}

/// A capture and a shipment in one command are what they are in two, and the parts that were recorded before are skipped.
#[test]
fn events_of_one_command_are_applied_one_after_the_other() {
    for recorded_before in [vec![], vec![captured()], vec![captured(), shipped(1)]] {
        let mut memory = Memory::with_stock(&[("A", 5)]);
        memory.commit(&[open(1, Opening::Reserve, &[("A", 2)])]);
        let are_all_recorded = recorded_before.len() == 2;
        for event in recorded_before {
            memory.commit(&[advance(1, event)]);
        }

        let replies = memory.commit(&[advance_by(1, vec![captured(), shipped(1)])]);

        let fulfilled = SagaState::Fulfilled;
        let expected = if are_all_recorded {
            Recorded::Duplicate(fulfilled)
        } else {
            Recorded::New(fulfilled)
        };
        assert_eq!(replies, [expected]);
        assert_eq!(memory.level("A"), (3, 0, 2));
        assert_eq!((memory.outbox.len(), memory.inbox.len()), (3, 1));
    }
}

/// A saga that another replica has decided to compensate is neither paid nor shipped.
#[test]
fn a_saga_in_compensation_refuses_every_event_of_a_command() {
    let mut memory = Memory::with_stock(&[("A", 5)]);
    memory.commit(&[open(1, Opening::Reserve, &[("A", 2)])]);
    memory.commit(&[advance(1, SagaEvent::CancellationRequested)]);

    let replies = memory.commit(&[advance_by(1, vec![captured(), shipped(1)])]);

    let compensating = SagaState::Compensating(crate::domain::Abandonment::Cancelled);
    assert_eq!(replies, [Recorded::Duplicate(compensating)]);
    assert_eq!(memory.level("A"), (3, 2, 0));
    assert_eq!(memory.outbox.len(), 1);
}

#[derive(Clone, Debug)]
enum Play {
    Open(u128, Opening, i32),
    Advance(u128, Vec<SagaEvent>),
}

fn any_play() -> impl Strategy<Value = Play> {
    let refusal = Rejection {
        reason: RejectionReason::OutOfStock,
        sku: None,
    };
    let opening = prop_oneof![3 => Just(Opening::Reserve), 1 => Just(Opening::Cancel)];
    let event = prop_oneof![
        3 => Just(captured()),
        3 => Just(shipped(1)),
        1 => Just(SagaEvent::PaymentDeclined),
        1 => Just(SagaEvent::PaymentUnavailable),
        1 => Just(SagaEvent::CancellationRequested),
        1 => Just(SagaEvent::PaymentUndone),
        1 => Just(SagaEvent::StockRefused(refusal)),
    ];
    prop_oneof![
        (0..6_u128, opening, 1..4_i32)
            .prop_map(|(n, opening, pieces)| Play::Open(n, opening, pieces)),
        (0..6_u128, prop::collection::vec(event, 1..4))
            .prop_map(|(n, events)| Play::Advance(n, events)),
    ]
}

/// Commands for these plays. Events for orders that were never opened are dropped, because they fail their batch.
fn commands(plays: &[Play]) -> Vec<StepCommand> {
    let mut opened = BTreeSet::new();
    let known = plays.iter().filter(|play| match play {
        Play::Open(number, ..) => {
            opened.insert(*number);
            true
        }
        Play::Advance(number, _) => opened.contains(number),
    });
    known
        .map(|play| match play.clone() {
            Play::Open(number, opening, pieces) => open(number, opening, &[("A", pieces)]),
            Play::Advance(number, events) => advance_by(number, events),
        })
        .collect()
}

fn run(plays: &[Play], batch: usize) -> (Memory, Vec<Recorded>) {
    let mut memory = Memory::with_stock(&[("A", 7)]);
    let commands = commands(plays);
    let replies = commands
        .chunks(batch)
        .flat_map(|batch| memory.commit(batch))
        .collect();
    (memory, replies)
}

proptest! {
    #[test]
    fn reserved_and_shipped_stock_matches_the_sagas(
        plays in prop::collection::vec(any_play(), 0..60),
        batch in 1..20_usize,
    ) {
        let (memory, _) = run(&plays, batch);

        let pieces_in = |wanted: fn(SagaState) -> bool| -> i64 {
            let sagas = memory.sagas.values().filter(|saga| wanted(saga.state));
            sagas.flat_map(|saga| saga.demand.iter().map(|(_, pieces)| pieces)).sum()
        };
        let reserved = pieces_in(|state| !state.is_final());
        let shipped = pieces_in(|state| state == SagaState::Fulfilled);
        prop_assert_eq!(memory.level("A"), (7 - reserved - shipped, reserved, shipped));
    }

    #[test]
    fn replies_do_not_depend_on_the_batch_size(
        plays in prop::collection::vec(any_play(), 0..60),
        batch in 2..20_usize,
    ) {
        let (_, batched) = run(&plays, batch);
        let (_, one_by_one) = run(&plays, 1);

        prop_assert_eq!(batched, one_by_one);
    }

    #[test]
    fn published_events_of_an_order_are_numbered_without_gaps(
        plays in prop::collection::vec(any_play(), 0..60),
        batch in 1..20_usize,
    ) {
        let (memory, _) = run(&plays, batch);

        for (order_id, saga) in &memory.sagas {
            let key = order_id.to_string();
            let sequences: Vec<u64> = memory.outbox.iter()
                .filter(|record| record.key == key)
                .map(|record| kafka::headers::text(&record.headers, "ce_sequence").unwrap().parse().unwrap())
                .collect();
            prop_assert_eq!(sequences, (1..saga.next_sequence).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_inbox_has_exactly_the_events_of_ended_sagas(
        plays in prop::collection::vec(any_play(), 0..60),
        batch in 1..20_usize,
    ) {
        let (memory, _) = run(&plays, batch);

        let mut ended: Vec<_> = memory.sagas.iter()
            .filter(|(_, saga)| saga.state.is_final())
            .map(|(order_id, _)| order_id.as_uuid())
            .collect();
        let mut remembered: Vec<_> = memory.inbox.iter().map(|entry| entry.key).collect();
        ended.sort();
        remembered.sort();
        prop_assert_eq!(remembered, ended);
    }
}
