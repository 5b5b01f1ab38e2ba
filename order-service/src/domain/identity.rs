//! Who and which: the identities of an order, of its customer and of the client's intent.

use std::fmt;

use thiserror::Error;
use uuid::Uuid;

/// Identity of an order: a UUIDv7, so that orders sort by the time of their acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    /// Takes an id as it stands in a store or an event.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Reads an id in its hyphenated form.
    ///
    /// # Errors
    /// [`InvalidUuid`] for anything else, the nil UUID included.
    pub fn parse(text: &str) -> Result<Self, InvalidUuid> {
        parse_hyphenated(text).map(Self)
    }

    /// The bare UUID.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

/// The client's UUID for one intent to order, unique per customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// Takes an id as it stands in a store.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Reads an id in its hyphenated form.
    ///
    /// # Errors
    /// [`InvalidUuid`] for anything else. The nil UUID is refused too: it is what a client sends that forgot to set
    /// the field, and all its orders would be taken for one.
    pub fn parse(text: &str) -> Result<Self, InvalidUuid> {
        parse_hyphenated(text).map(Self)
    }

    /// The bare UUID.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

/// A customer, as the client names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(String);

impl CustomerId {
    /// Longest name in characters; all of them are ASCII.
    const MAX_LENGTH: usize = 64;

    /// Takes a name that keeps to the bounds of the contract.
    ///
    /// # Errors
    /// [`InvalidCustomerId`] when it is empty, too long or has a character outside the alphabet.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidCustomerId> {
        let text = text.into();
        let length_is_fine = (1..=Self::MAX_LENGTH).contains(&text.len());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if length_is_fine && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(InvalidCustomerId)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is no UUID in the hyphenated form, or the nil UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be a UUID in its hyphenated form, and not the nil UUID")]
pub struct InvalidUuid;

/// The text is no customer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must have 1 to 64 characters out of letters, digits, '-', '_' and '.'")]
pub struct InvalidCustomerId;

/// Length of the hyphenated form in characters.
const HYPHENATED_LENGTH: usize = 36;

/// The uuid crate also reads braces, URNs and bare hex digits; one form only keeps ids comparable as text.
fn parse_hyphenated(text: &str) -> Result<Uuid, InvalidUuid> {
    if text.len() != HYPHENATED_LENGTH {
        return Err(InvalidUuid);
    }
    match Uuid::try_parse(text) {
        Ok(id) if !id.is_nil() => Ok(id),
        _ => Err(InvalidUuid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192f0c1-2345-7abc-8def-0123456789ab";

    #[test]
    fn an_id_is_shown_in_the_form_it_was_read_in() {
        assert_eq!(OrderId::parse(ID).unwrap().to_string(), ID);
        assert_eq!(OrderId::parse(&ID.to_uppercase()).unwrap().to_string(), ID);
    }

    #[test]
    fn only_the_hyphenated_form_is_a_uuid() {
        let simple = ID.replace('-', "");
        let braced = format!("{{{ID}}}");
        let urn = format!("urn:uuid:{ID}");
        let nil = Uuid::nil().to_string();

        for text in ["", "x", &simple, &braced, &urn, &nil, &ID.replace('a', "g")] {
            assert_eq!(OrderId::parse(text), Err(InvalidUuid), "{text}");
            assert_eq!(RequestId::parse(text), Err(InvalidUuid), "{text}");
        }
    }

    #[test]
    fn a_customer_id_keeps_to_its_alphabet_and_length() {
        for text in ["guest", "12346", "a-b_c.D", &"x".repeat(64)] {
            assert_eq!(CustomerId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "a b", "ä", "a/b", "a\n", &"x".repeat(65)] {
            assert_eq!(CustomerId::parse(text), Err(InvalidCustomerId), "{text}");
        }
    }
}
