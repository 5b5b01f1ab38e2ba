//! Every cell of the table, and the properties of any sequence of events.

use proptest::prelude::*;

use super::super::status::RejectionReason;
use super::*;

const REASON: RejectionReason = RejectionReason::OutOfStock;

const EVENTS: [OrderEvent; 6] = [
    OrderEvent::CancellationRequested,
    OrderEvent::StockReserved,
    OrderEvent::PaymentCaptured,
    OrderEvent::OrderFulfilled,
    OrderEvent::OrderRejected(REASON),
    OrderEvent::OrderCancelled,
];

#[test]
fn every_cell_of_the_table_is_as_specified() {
    use OrderStatus::{Accepted, CancelRequested, Cancelled, Fulfilled, Processing, Rejected};
    let rejected = Rejected(REASON);
    let already = Err(TransitionRefused::AlreadyRequested);
    let not_requested = Err(TransitionRefused::NotRequested);
    let ended = |status| Err(TransitionRefused::OrderIsFinal(status));

    // A row per state; a column per event, in the sequence of EVENTS.
    let table = [
        (
            Accepted,
            [
                Ok(CancelRequested),
                Ok(Processing),
                Ok(Processing),
                Ok(Fulfilled),
                Ok(rejected),
                not_requested,
            ],
        ),
        (
            Processing,
            [
                Ok(CancelRequested),
                Ok(Processing),
                Ok(Processing),
                Ok(Fulfilled),
                Ok(rejected),
                not_requested,
            ],
        ),
        (
            CancelRequested,
            [
                already,
                Ok(CancelRequested),
                Ok(CancelRequested),
                Ok(Fulfilled),
                Ok(rejected),
                Ok(Cancelled),
            ],
        ),
        (Fulfilled, [ended(Fulfilled); 6]),
        (rejected, [ended(rejected); 6]),
        (
            Cancelled,
            [
                already,
                ended(Cancelled),
                ended(Cancelled),
                ended(Cancelled),
                ended(Cancelled),
                ended(Cancelled),
            ],
        ),
    ];

    for (status, row) in table {
        for (event, expected) in EVENTS.into_iter().zip(row) {
            assert_eq!(
                transition(status, event),
                expected,
                "{status:?} and {event:?}"
            );
        }
    }
}

/// The states of a new order after these events; refused events are skipped.
fn states_after(events: &[OrderEvent]) -> Vec<OrderStatus> {
    let mut states = vec![OrderStatus::Accepted];
    for event in events {
        let now = states[states.len() - 1];
        states.extend(transition(now, *event));
    }
    states
}

/// Events that do not end a new order.
fn open_events() -> impl Strategy<Value = Vec<OrderEvent>> {
    prop::collection::vec(prop::sample::select(EVENTS[..3].to_vec()), 0..20)
}

fn any_events() -> impl Strategy<Value = Vec<OrderEvent>> {
    prop::collection::vec(prop::sample::select(EVENTS.to_vec()), 0..20)
}

proptest! {
    #[test]
    fn an_order_reaches_at_most_one_final_state(events in any_events()) {
        let finals = states_after(&events).into_iter().filter(|status| status.is_final()).count();

        prop_assert!(finals <= 1);
    }

    #[test]
    fn a_final_state_refuses_every_event(before in open_events(), after in any_events()) {
        let states = states_after(&before);
        let open = states[states.len() - 1];
        let end = transition(open, OrderEvent::OrderFulfilled).unwrap();

        for event in after {
            prop_assert!(transition(end, event).is_err());
        }
    }

    #[test]
    fn an_outcome_of_processing_ends_every_open_order(events in open_events()) {
        let states = states_after(&events);
        let last = states[states.len() - 1];
        prop_assert!(!last.is_final());

        prop_assert_eq!(transition(last, OrderEvent::OrderFulfilled), Ok(OrderStatus::Fulfilled));
        prop_assert_eq!(
            transition(last, OrderEvent::OrderRejected(REASON)),
            Ok(OrderStatus::Rejected(REASON))
        );
    }

    #[test]
    fn an_order_is_cancelled_only_after_a_request(events in any_events()) {
        let cancelled = states_after(&events).contains(&OrderStatus::Cancelled);
        let asked = events.contains(&OrderEvent::CancellationRequested);

        prop_assert!(asked || !cancelled);
    }
}
