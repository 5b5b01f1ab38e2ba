//! The saga's transition table by example, and properties of every path through it.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{Currency, OrderId, Sku, StockLevel};

fn amount() -> Money {
    Money::new(Currency::parse("GBP").unwrap(), 255).unwrap()
}

fn payment_captured() -> SagaEvent {
    SagaEvent::PaymentCaptured(CaptureId::new("cap_1"), amount())
}

fn shipped() -> SagaEvent {
    SagaEvent::Shipped(ShipmentId::of(OrderId::new(Uuid::from_u128(1))))
}

fn out_of_stock() -> SagaEvent {
    let sku = Some(Sku::parse("A").unwrap());
    SagaEvent::StockRefused(Rejection {
        reason: RejectionReason::OutOfStock,
        sku,
    })
}

/// Plays events from the start; a refused event changes nothing.
fn play(events: &[SagaEvent]) -> Vec<Transition> {
    let mut state = SagaState::Placed;
    let mut transitions = Vec::new();
    for event in events {
        if let Ok(transition) = state.on(event.clone()) {
            state = transition.state;
            transitions.push(transition);
        }
    }
    transitions
}

fn last_state(events: &[SagaEvent]) -> SagaState {
    play(events)
        .last()
        .map_or(SagaState::Placed, |transition| transition.state)
}

#[test]
fn three_steps_fulfil_an_order() {
    let states: Vec<_> = play(&[SagaEvent::StockReserved, payment_captured(), shipped()])
        .iter()
        .map(|transition| transition.state)
        .collect();

    assert_eq!(
        states,
        [
            SagaState::Reserved,
            SagaState::Captured,
            SagaState::Fulfilled
        ]
    );
}

#[test]
fn an_order_without_stock_is_rejected_and_touches_no_stock() {
    let transitions = play(&[out_of_stock()]);

    assert_eq!(
        transitions[0].state,
        SagaState::Rejected(RejectionReason::OutOfStock)
    );
    assert_eq!(transitions[0].stock, None);
}

#[test]
fn a_declined_payment_gives_the_stock_back() {
    let transitions = play(&[SagaEvent::StockReserved, SagaEvent::PaymentDeclined]);

    assert_eq!(
        transitions[1].state,
        SagaState::Rejected(RejectionReason::PaymentDeclined)
    );
    assert_eq!(transitions[1].stock, Some(StockMove::Release));
}

#[test]
fn an_unreachable_provider_is_asked_to_undo_before_the_rejection() {
    let unavailable = [SagaEvent::StockReserved, SagaEvent::PaymentUnavailable];
    let reason = RejectionReason::PaymentUnavailable;
    assert_eq!(
        last_state(&unavailable),
        SagaState::Compensating(Abandonment::Rejected(reason))
    );

    let end = last_state(&[&unavailable[..], &[SagaEvent::PaymentUndone]].concat());

    assert_eq!(end, SagaState::Rejected(reason));
}

#[test]
fn a_cancellation_before_the_first_step_ends_the_saga_at_once() {
    let transitions = play(&[SagaEvent::CancellationRequested]);

    assert_eq!(transitions[0].state, SagaState::Cancelled);
    assert_eq!(transitions[0].stock, None);
}

#[test]
fn a_cancellation_after_the_capture_gives_stock_and_money_back() {
    let events = [
        SagaEvent::StockReserved,
        payment_captured(),
        SagaEvent::CancellationRequested,
        SagaEvent::PaymentUndone,
    ];

    let last = play(&events).pop().unwrap();

    assert_eq!(last.state, SagaState::Cancelled);
    assert_eq!(last.stock, Some(StockMove::Release));
    assert_eq!(last.ledger, Some(LedgerEntry::Refund));
    assert_eq!(last.announcement, Some(Announcement::OrderCancelled));
}

#[test]
fn an_order_that_is_being_undone_cannot_be_shipped() {
    let events = [
        SagaEvent::StockReserved,
        payment_captured(),
        SagaEvent::CancellationRequested,
    ];
    let state = last_state(&events);

    assert_eq!(state.on(shipped()), Err(TransitionRefused));
}

#[test]
fn the_outcome_that_was_decided_first_is_kept() {
    let reason = RejectionReason::PaymentUnavailable;
    let compensating = SagaState::Compensating(Abandonment::Rejected(reason));

    assert_eq!(
        compensating.on(SagaEvent::CancellationRequested),
        Err(TransitionRefused)
    );
    assert_eq!(
        SagaState::Fulfilled.on(SagaEvent::CancellationRequested),
        Err(TransitionRefused)
    );
}

fn any_event() -> impl Strategy<Value = SagaEvent> {
    prop_oneof![
        Just(SagaEvent::StockReserved),
        Just(out_of_stock()),
        Just(payment_captured()),
        Just(SagaEvent::PaymentDeclined),
        Just(SagaEvent::PaymentUnavailable),
        Just(shipped()),
        Just(SagaEvent::CancellationRequested),
        Just(SagaEvent::PaymentUndone),
    ]
}

/// The stock of a SKU of which the order wants three pieces, after these transitions.
fn stock_after(transitions: &[Transition]) -> Option<StockLevel> {
    let moves = transitions.iter().filter_map(|transition| transition.stock);
    moves
        .map(|stock_move| StockLevel::change(stock_move, 3))
        .try_fold(StockLevel::opening(3), StockLevel::after)
}

proptest! {
    #[test]
    fn an_event_that_moves_stock_says_so_beforehand(
        before in prop::collection::vec(any_event(), 0..24),
        event in any_event(),
    ) {
        let moves = last_state(&before).on(event.clone()).is_ok_and(|transition| transition.stock.is_some());

        prop_assert!(!moves || event.may_move_stock());
    }

    #[test]
    fn stock_follows_the_state_on_every_path(events in prop::collection::vec(any_event(), 0..24)) {
        let transitions = play(&events);

        let held = match last_state(&events) {
            SagaState::Placed | SagaState::Rejected(_) | SagaState::Cancelled => (3, 0, 0),
            SagaState::Reserved | SagaState::Captured | SagaState::Compensating(_) => (0, 3, 0),
            SagaState::Fulfilled => (0, 0, 3),
        };
        let level = stock_after(&transitions).expect("no path takes more than there is");
        prop_assert_eq!((level.available, level.reserved, level.shipped), held);
    }

    #[test]
    fn money_stays_only_for_what_is_shipped(events in prop::collection::vec(any_event(), 0..24)) {
        let transitions = play(&events);
        let kept = |wanted: fn(&LedgerEntry) -> bool| transitions.iter().filter_map(|t| t.ledger.as_ref()).any(wanted);

        let captured = kept(|entry| matches!(entry, LedgerEntry::Payment(..)));
        let refunded = kept(|entry| matches!(entry, LedgerEntry::Refund));

        match last_state(&events) {
            SagaState::Fulfilled => prop_assert!(captured && !refunded),
            state if state.is_final() => prop_assert!(!captured || refunded),
            _ => {}
        }
    }

    #[test]
    fn an_ended_saga_refuses_everything(
        events in prop::collection::vec(any_event(), 0..24),
        late in any_event(),
    ) {
        let state = last_state(&events);

        prop_assert!(!state.is_final() || state.on(late) == Err(TransitionRefused));
    }

    #[test]
    fn one_outcome_is_announced_and_it_is_the_last_announcement(
        events in prop::collection::vec(any_event(), 0..24),
    ) {
        let transitions = play(&events);

        let announced = transitions.iter().filter_map(|transition| transition.announcement.as_ref());
        let outcomes: Vec<_> = announced
            .map(|a| !matches!(a, Announcement::StockReserved | Announcement::PaymentCaptured(..)))
            .collect();
        let count = outcomes.iter().filter(|&&outcome| outcome).count();
        prop_assert_eq!(count, usize::from(last_state(&events).is_final()));
        prop_assert!(count == 0 || outcomes.last() == Some(&true));
    }
}
