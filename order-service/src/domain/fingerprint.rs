//! A digest of the meaning of a PlaceOrder body: distinguishes a retry from another request under the same request id.
//!
//! It has its own encoding: protobuf bytes of the same order differ between client libraries (field order, unknown fields).
//! Every part of variable length is prefixed with its length, so different bodies have different encodings. A change of the
//! encoding would turn retries across an upgrade into conflicts: the test with the fixed digest detects one.

use std::fmt;

use sha2::{Digest, Sha256};

use super::identity::CustomerId;
use super::line::OrderLine;
use super::payment_token::PaymentToken;

/// SHA-256 of the canonical encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Versions the encoding: digests of two encodings never match.
    const ENCODING: &'static [u8] = b"place-order.1";

    /// Covers every field of the request but the request id.
    pub fn of(customer_id: &CustomerId, lines: &[OrderLine], payment_token: &PaymentToken) -> Self {
        let mut digest = Sha256::new();
        add_bytes(&mut digest, Self::ENCODING);
        add_bytes(&mut digest, customer_id.as_str().as_bytes());
        add_bytes(&mut digest, payment_token.expose().as_bytes());
        add_length(&mut digest, lines.len());
        for line in lines {
            let price = line.unit_price.money();
            add_bytes(&mut digest, line.sku.as_str().as_bytes());
            digest.update(line.quantity.get().to_be_bytes());
            add_bytes(&mut digest, price.currency.code().as_bytes());
            digest.update(price.minor_units.to_be_bytes());
        }
        Self(digest.finalize().into())
    }

    pub fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Redacted: with few possible tokens, the input could be found from the digest by search.
impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fingerprint(redacted)")
    }
}

fn add_bytes(digest: &mut Sha256, bytes: &[u8]) {
    add_length(digest, bytes.len());
    digest.update(bytes);
}

/// Eight bytes on every platform, independent of the width of `usize`.
fn add_length(digest: &mut Sha256, length: usize) {
    digest.update((length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::line::{Quantity, Sku, UnitPrice};
    use super::super::money::{Currency, Money};
    use super::*;

    fn line(sku: &str, pieces: i32, minor_units: i64) -> OrderLine {
        let currency = Currency::Gbp;
        OrderLine {
            sku: Sku::parse(sku).unwrap(),
            quantity: Quantity::parse(pieces).unwrap(),
            unit_price: UnitPrice::parse(Money {
                currency,
                minor_units,
            })
            .unwrap(),
        }
    }

    fn fingerprint(customer: &str, lines: &[OrderLine], token: &str) -> Fingerprint {
        let customer = CustomerId::parse(customer).unwrap();
        Fingerprint::of(&customer, lines, &PaymentToken::parse(token).unwrap())
    }

    #[test]
    fn the_encoding_stays_as_it_is_across_releases() {
        let digest = fingerprint("17850", &[line("85123A", 6, 255)], "tok_approved");

        let hex: String = digest
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();

        assert_eq!(
            hex,
            "b2154ac03694d955af1435903fbd767c122265a46805f48b75f9762cc16428e7"
        );
    }

    #[test]
    fn every_part_of_the_body_counts() {
        let lines = [line("A", 1, 10), line("B", 2, 20)];
        let base = fingerprint("guest", &lines, "tok");

        assert_eq!(base, fingerprint("guest", &lines, "tok"));
        for other in [
            fingerprint("guest2", &lines, "tok"),
            fingerprint("guest", &lines, "tok2"),
            fingerprint("guest", &lines[..1], "tok"),
            fingerprint("guest", &[line("B", 2, 20), line("A", 1, 10)], "tok"),
            fingerprint("guest", &[line("A", 2, 10), line("B", 2, 20)], "tok"),
            fingerprint("guest", &[line("A", 1, 11), line("B", 2, 20)], "tok"),
            fingerprint("guest", &[line("C", 1, 10), line("B", 2, 20)], "tok"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_character_cannot_move_from_one_field_to_the_next() {
        assert_ne!(fingerprint("ab", &[], "c"), fingerprint("a", &[], "bc"));
    }
}
