//! Where the next page begins, as a text that means nothing to the client.
//!
//! ```text
//! base64url( form (1 byte) │ order id (16) │ seal (8) )      seal = start of SHA-256(form │ order id │ customer)
//! ```
//!
//! The seal ties a token to the customer it was made for and catches truncated or invented ones. It is no secret: a
//! token gives no access, it only says where a listing that the caller may see anyway goes on.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use crate::domain::{CustomerId, OrderId};

/// The only form so far; a later one gets another number, and tokens of both can be told apart.
const FORM: u8 = 1;
const ID_LENGTH: usize = 16;
const SEAL_LENGTH: usize = 8;
const LENGTH: usize = 1 + ID_LENGTH + SEAL_LENGTH;

/// The end of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken(OrderId);

impl PageToken {
    /// The next page begins behind this order.
    pub fn new(last_shown: OrderId) -> Self {
        Self(last_shown)
    }

    /// The order that the page before ended with.
    pub fn last_shown(self) -> OrderId {
        self.0
    }

    /// The text for a client that lists this customer's orders.
    pub fn encode(self, customer_id: &CustomerId) -> String {
        let id = self.0.as_uuid().into_bytes();
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(FORM);
        bytes.extend_from_slice(&id);
        bytes.extend_from_slice(&seal(id, customer_id));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text that [`PageToken::encode`] made for this customer.
    ///
    /// # Errors
    /// [`InvalidPageToken`] for anything else.
    pub fn parse(text: &str, customer_id: &CustomerId) -> Result<Self, InvalidPageToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidPageToken)?;
        let (&[form], rest) = bytes.split_first_chunk().ok_or(InvalidPageToken)?;
        let (id, found) = rest
            .split_first_chunk::<ID_LENGTH>()
            .ok_or(InvalidPageToken)?;
        if form != FORM || found != seal(*id, customer_id) {
            return Err(InvalidPageToken);
        }
        Ok(Self(OrderId::new(Uuid::from_bytes(*id))))
    }
}

/// The text is no page token, or was made for another customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be the next_page_token of an answer to this customer's listing")]
pub struct InvalidPageToken;

fn seal(id: [u8; ID_LENGTH], customer_id: &CustomerId) -> [u8; SEAL_LENGTH] {
    let mut digest = Sha256::new();
    digest.update([FORM]);
    digest.update(id);
    digest.update(customer_id.as_str());
    let digest: [u8; 32] = digest.finalize().into();
    let mut seal = [0; SEAL_LENGTH];
    seal.copy_from_slice(&digest[..SEAL_LENGTH]);
    seal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn customer(name: &str) -> CustomerId {
        CustomerId::parse(name).unwrap()
    }

    proptest! {
        #[test]
        fn a_token_is_read_back_for_its_customer_only(id: u128) {
            let token = PageToken::new(OrderId::new(Uuid::from_u128(id)));

            let text = token.encode(&customer("guest"));

            prop_assert_eq!(PageToken::parse(&text, &customer("guest")), Ok(token));
            prop_assert_eq!(PageToken::parse(&text, &customer("guest2")), Err(InvalidPageToken));
        }

        #[test]
        fn no_other_text_is_a_token(text: String) {
            prop_assert_eq!(PageToken::parse(&text, &customer("guest")), Err(InvalidPageToken));
        }
    }

    #[test]
    fn a_damaged_token_is_refused() {
        let text = PageToken::new(OrderId::new(Uuid::from_u128(7))).encode(&customer("guest"));

        for length in 0..text.len() {
            let cut = &text[..length];
            assert_eq!(
                PageToken::parse(cut, &customer("guest")),
                Err(InvalidPageToken)
            );
        }
        let longer = format!("{text}AAAA");
        assert_eq!(
            PageToken::parse(&longer, &customer("guest")),
            Err(InvalidPageToken)
        );
    }
}
