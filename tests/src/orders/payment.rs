//! The payment test token of an invoice.
//!
//! The data set has no payments, so the token is derived from a hash of the invoice number: always the same for the
//! same invoice, with enough failing tokens to exercise every branch of processing in each run.

use uuid::Uuid;

/// The simulated gateway captures it at once.
pub const APPROVED: &str = "tok_approved";
/// The simulated gateway declines it.
pub const DECLINED: &str = "tok_declined";
/// The simulated gateway takes two seconds to capture it.
pub const SLOW: &str = "tok_slow";
/// The first attempt times out, the second is captured.
pub const TIMEOUT_ONCE: &str = "tok_timeout_once";
/// Every attempt fails.
pub const UNAVAILABLE: &str = "tok_unavailable";

/// The token of an invoice. Of 1,000 invoices about 940 are approved, 40 declined, 10 time out once, 5 are slow and 5
/// fail because the gateway is unavailable.
pub fn token(invoice: &str) -> &'static str {
    let (bits, _) = Uuid::new_v5(&Uuid::NAMESPACE_OID, invoice.as_bytes()).as_u64_pair();
    match bits % 1000 {
        0..940 => APPROVED,
        940..980 => DECLINED,
        980..990 => TIMEOUT_ONCE,
        990..995 => SLOW,
        _ => UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn an_invoice_always_has_the_same_token() {
        assert_eq!(token("536365"), token("536365"));
    }

    #[test]
    fn most_payments_are_approved_and_each_kind_of_failure_occurs() {
        let mut tokens: HashMap<&str, usize> = HashMap::new();

        for invoice in 536_365..538_458 {
            *tokens.entry(token(&invoice.to_string())).or_default() += 1;
        }

        assert!((1_900..2_050).contains(&tokens[APPROVED]), "{tokens:?}");
        for trouble in [DECLINED, SLOW, TIMEOUT_ONCE, UNAVAILABLE] {
            assert!(tokens.contains_key(trouble), "{tokens:?}");
        }
    }
}
