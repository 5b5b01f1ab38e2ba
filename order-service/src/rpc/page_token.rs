//! The page token of ListOrders, opaque to clients.
//!
//! ```text
//! base64url( version (1 byte) │ order id (16) │ checksum (8) )    checksum = prefix of SHA-256(version │ order id │ customer)
//! ```
//!
//! The checksum binds a token to its customer and detects truncated and forged tokens. It is not a secret: a token gives no
//! access, it is only a position in a list that the caller may read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use crate::domain::{CustomerId, OrderId};

/// Another format gets another number.
const VERSION: u8 = 1;
const ID_LENGTH: usize = 16;
const CHECKSUM_LENGTH: usize = 8;
const LENGTH: usize = 1 + ID_LENGTH + CHECKSUM_LENGTH;

/// The last order of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken(OrderId);

impl PageToken {
    pub fn new(last_shown: OrderId) -> Self {
        Self(last_shown)
    }

    pub fn last_shown(self) -> OrderId {
        self.0
    }

    pub fn encode(self, customer_id: &CustomerId) -> String {
        let id = self.0.as_uuid().into_bytes();
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend_from_slice(&id);
        bytes.extend_from_slice(&checksum(id, customer_id));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Parses a token that was encoded for this customer.
    ///
    /// # Errors
    /// [`InvalidPageToken`] for any other text.
    pub fn parse(text: &str, customer_id: &CustomerId) -> Result<Self, InvalidPageToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidPageToken)?;
        let (&[version], rest) = bytes.split_first_chunk().ok_or(InvalidPageToken)?;
        let (id, found) = rest
            .split_first_chunk::<ID_LENGTH>()
            .ok_or(InvalidPageToken)?;
        if version != VERSION || found != checksum(*id, customer_id) {
            return Err(InvalidPageToken);
        }
        Ok(Self(OrderId::new(Uuid::from_bytes(*id))))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be a next_page_token that ListOrders has returned for this customer")]
pub struct InvalidPageToken;

fn checksum(id: [u8; ID_LENGTH], customer_id: &CustomerId) -> [u8; CHECKSUM_LENGTH] {
    let mut digest = Sha256::new();
    digest.update([VERSION]);
    digest.update(id);
    digest.update(customer_id.as_str());
    let digest: [u8; 32] = digest.finalize().into();
    let mut checksum = [0; CHECKSUM_LENGTH];
    checksum.copy_from_slice(&digest[..CHECKSUM_LENGTH]);
    checksum
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
        fn any_other_text_is_refused(text: String) {
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
