//! Failing payments; the rate can change while a replay runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proto::orders::v1::PlaceOrderRequest;

use crate::orders::payment::{DECLINED, SLOW, TIMEOUT_ONCE, UNAVAILABLE};

const TOKENS: [&str; 4] = [DECLINED, SLOW, TIMEOUT_ONCE, UNAVAILABLE];

/// Failing payments per thousand orders, each kind equally often.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    per_mille: Arc<AtomicU32>,
}

impl Trouble {
    /// Sets the rate.
    pub fn set(&self, per_mille: u32) {
        self.per_mille.store(per_mille, Ordering::Relaxed);
    }

    /// The request with the payment token of the order with this number. A retry must send the returned request: the
    /// same request id with another token would be another order.
    pub(super) fn touch(&self, number: usize, request: PlaceOrderRequest) -> PlaceOrderRequest {
        // Spreads the failures over adjacent orders: Knuth's multiplicative hash.
        let spread = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        if spread % 1_000 >= u64::from(self.per_mille.load(Ordering::Relaxed)) {
            return request;
        }
        let kind = usize::try_from(spread / 1_000).unwrap_or_default() % TOKENS.len();
        PlaceOrderRequest {
            payment_token: TOKENS[kind].to_owned(),
            ..request
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn tokens(trouble: &Trouble) -> HashMap<String, usize> {
        let mut tokens = HashMap::new();
        for number in 0..10_000 {
            let request = trouble.touch(number, PlaceOrderRequest::default());
            *tokens.entry(request.payment_token).or_default() += 1;
        }
        tokens
    }

    #[test]
    fn a_share_of_the_orders_has_each_kind_of_failing_payment() {
        let trouble = Trouble::default();
        trouble.set(400);

        let tokens = tokens(&trouble);

        assert!((5_800..6_200).contains(&tokens[""]), "{tokens:?}");
        for token in TOKENS {
            assert!((900..1_100).contains(&tokens[token]), "{tokens:?}");
        }
    }

    #[test]
    fn at_rate_zero_the_tokens_of_the_invoices_are_kept() {
        assert_eq!(tokens(&Trouble::default()).len(), 1);
    }
}
