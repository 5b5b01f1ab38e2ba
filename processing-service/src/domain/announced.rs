//! What a saga has announced so far, computed from its stored state: for an order whose outcomes must be published again.

use super::order::{OrderId, ShipmentId};
use super::payment::{CaptureId, Money};
use super::saga::{Announcement, SagaState};
use super::stock::Rejection;

/// The first `count` announcements of a saga in this state, oldest first; `payment` is its recorded capture. A rejection
/// names no SKU, which is not stored. `None` if the values contradict each other.
pub fn announced(
    order_id: OrderId,
    state: SagaState,
    count: u64,
    payment: Option<(CaptureId, Money)>,
) -> Option<Vec<Announcement>> {
    let last = last(order_id, state);
    let progress = [
        Some(Announcement::StockReserved),
        payment.map(|(capture, amount)| Announcement::PaymentCaptured(capture, amount)),
    ];
    let count = usize::try_from(count).ok()?;
    let of_progress = count.checked_sub(usize::from(last.is_some()))?;
    if of_progress > progress.len() {
        return None;
    }
    let progress = progress.into_iter().take(of_progress);
    progress.chain(last.map(Some)).collect()
}

/// The announcement of a final state.
fn last(order_id: OrderId, state: SagaState) -> Option<Announcement> {
    match state {
        SagaState::Fulfilled => Some(Announcement::OrderFulfilled(ShipmentId::of(order_id))),
        SagaState::Rejected(reason) => {
            Some(Announcement::OrderRejected(Rejection { reason, sku: None }))
        }
        SagaState::Cancelled => Some(Announcement::OrderCancelled),
        SagaState::Placed
        | SagaState::Reserved
        | SagaState::Captured
        | SagaState::Compensating(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::payment::Currency;
    use super::super::saga::SagaEvent as Event;
    use super::super::stock::RejectionReason;
    use super::*;

    const ORDER: OrderId = OrderId::new(Uuid::from_u128(1));

    fn payment() -> (CaptureId, Money) {
        let currency = Currency::parse("GBP").unwrap();
        (
            CaptureId::new("capture"),
            Money::new(currency, 255).unwrap(),
        )
    }

    /// Every way through the transition table: after each step the stored values tell what was announced.
    #[test]
    fn what_a_saga_has_announced_follows_from_its_state_at_every_step() {
        let (capture, amount) = payment();
        let captured = || Event::PaymentCaptured(capture.clone(), amount);
        let shipped = || Event::Shipped(ShipmentId::of(ORDER));
        let out_of_stock = Rejection {
            reason: RejectionReason::OutOfStock,
            sku: None,
        };
        let lives = [
            vec![Event::StockReserved, captured(), shipped()],
            vec![Event::StockRefused(out_of_stock)],
            vec![Event::CancellationRequested],
            vec![Event::StockReserved, Event::PaymentDeclined],
            vec![
                Event::StockReserved,
                Event::PaymentUnavailable,
                Event::PaymentUndone,
            ],
            vec![
                Event::StockReserved,
                Event::CancellationRequested,
                Event::PaymentUndone,
            ],
            vec![
                Event::StockReserved,
                captured(),
                Event::CancellationRequested,
                Event::PaymentUndone,
            ],
        ];

        for life in lives {
            let (mut state, mut said, mut paid) = (SagaState::Placed, Vec::new(), None);
            for event in life {
                if matches!(event, Event::PaymentCaptured(..)) {
                    paid = Some(payment());
                }
                let transition = state.on(event).unwrap();
                state = transition.state;
                said.extend(transition.announcement);

                let again = announced(ORDER, state, said.len() as u64, paid.clone());
                assert_eq!(again.as_ref(), Some(&said), "{state:?}");
            }
        }
    }

    #[test]
    fn values_that_contradict_each_other_tell_nothing() {
        assert_eq!(announced(ORDER, SagaState::Fulfilled, 0, None), None);
        assert_eq!(announced(ORDER, SagaState::Fulfilled, 3, None), None);
        assert_eq!(
            announced(ORDER, SagaState::Captured, 3, Some(payment())),
            None
        );
    }
}
