//! The ids of an order, its customer and its request.

use std::fmt;

use thiserror::Error;
use uuid::Uuid;

/// A UUIDv7, so orders sort by their time of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    /// For an id from a store or an event, without validation.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Parses the hyphenated form.
    ///
    /// # Errors
    /// [`InvalidUuid`] for other forms and for the nil UUID.
    pub fn parse(text: &str) -> Result<Self, InvalidUuid> {
        parse_hyphenated(text).map(Self)
    }

    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

/// The client's idempotency key, unique per customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// For an id from a store, without validation.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Parses the hyphenated form.
    ///
    /// # Errors
    /// [`InvalidUuid`] for other forms and for the nil UUID: a client that forgets to set the field sends it, and all its
    /// orders would be duplicates of the first.
    pub fn parse(text: &str) -> Result<Self, InvalidUuid> {
        parse_hyphenated(text).map(Self)
    }

    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(String);

impl CustomerId {
    /// In characters, all of them ASCII.
    const MAX_LENGTH: usize = 64;

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

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be a UUID in its hyphenated form, and not the nil UUID")]
pub struct InvalidUuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must have 1 to 64 characters out of letters, digits, '-', '_' and '.'")]
pub struct InvalidCustomerId;

const HYPHENATED_LENGTH: usize = 36;

/// The uuid crate also accepts braces, URNs and plain hex digits. With one form only, ids can be compared as text.
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
