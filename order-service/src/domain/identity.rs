//! The ids of an order, its customer and its request.

use std::fmt;

use uuid::Uuid;

use super::text::Malformed;

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
    /// [`Malformed`] for other forms and for the nil UUID.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
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
    /// [`Malformed`] for other forms and for the nil UUID: a client that forgets to set the field sends it, and all its
    /// orders would be duplicates of the first.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
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
    const RULE: Malformed =
        Malformed("must have 1 to 64 characters out of letters, digits, '-', '_' and '.'");

    /// # Errors
    /// [`Malformed`] when it is empty, too long or has a character outside the alphabet.
    pub fn parse(text: impl Into<String>) -> Result<Self, Malformed> {
        let text = text.into();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_valid = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        is_valid.then_some(Self(text)).ok_or(Self::RULE)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const UUID_RULE: Malformed =
    Malformed("must be a UUID in its hyphenated form, and not the nil UUID");

const HYPHENATED_LENGTH: usize = 36;

/// The uuid crate also accepts braces, URNs and plain hex digits. With one form only, ids can be compared as text.
fn parse_hyphenated(text: &str) -> Result<Uuid, Malformed> {
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == HYPHENATED_LENGTH && !id.is_nil() => Ok(id),
        _ => Err(UUID_RULE),
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
            assert_eq!(OrderId::parse(text), Err(UUID_RULE), "{text}");
            assert_eq!(RequestId::parse(text), Err(UUID_RULE), "{text}");
        }
    }

    #[test]
    fn a_customer_id_keeps_to_its_alphabet_and_length() {
        for text in ["guest", "12346", "a-b_c.D", &"x".repeat(64)] {
            assert_eq!(CustomerId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "a b", "ä", "a/b", "a\n", &"x".repeat(65)] {
            assert_eq!(CustomerId::parse(text), Err(CustomerId::RULE), "{text}");
        }
    }
}
