//! Record headers, and their encoding as one column of the outbox and the retry store.
//!
//! Kafka headers are an ordered list of pairs of arbitrary bytes; a value can be null. JSON cannot hold the bytes and a map
//! loses the order, so the encoding is a list of length-prefixed strings.

pub use native_headers::{Header, Headers, read_native, write_native};

/// The length that marks a null value. No field is this long.
const NULL: [u8; 4] = u32::MAX.to_le_bytes();

/// The bytes are not an encoding by [`encode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored headers are damaged")]
pub struct DamagedHeaders;

/// The value of the first header of this name, if it is UTF-8.
pub fn text<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let (_, value) = headers
        .iter()
        .find(|(header, _)| header == name.as_bytes())?;
    std::str::from_utf8(value.as_deref()?).ok()
}

/// The number of bytes of all names and values.
pub fn size(headers: &[Header]) -> usize {
    let sizes = headers
        .iter()
        .map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len));
    sizes.sum()
}

/// Encodes the length (little-endian `u32`) and the bytes of each name and each value in turn; a null value is the length
/// `u32::MAX` without bytes.
pub fn encode(headers: &[Header]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size(headers) + 8 * headers.len());
    for (name, value) in headers {
        push(&mut bytes, name);
        match value {
            Some(value) => push(&mut bytes, value),
            None => bytes.extend_from_slice(&NULL),
        }
    }
    bytes
}

/// Decodes what [`encode`] wrote.
pub fn decode(mut bytes: &[u8]) -> Result<Headers, DamagedHeaders> {
    let mut headers = Headers::new();
    while !bytes.is_empty() {
        let name = take(&mut bytes)?.ok_or(DamagedHeaders)?;
        headers.push((name, take(&mut bytes)?));
    }
    Ok(headers)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "librdkafka refuses messages of a tenth of this size"
)]
fn push(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
    bytes.extend_from_slice(field);
}

/// `None` is a null value.
fn take(bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, DamagedHeaders> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(DamagedHeaders)?;
    if *length == NULL {
        *bytes = rest;
        return Ok(None);
    }
    let length = u32::from_le_bytes(*length) as usize;
    let (field, rest) = rest.split_at_checked(length).ok_or(DamagedHeaders)?;
    *bytes = rest;
    Ok(Some(field.to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_null_value_stays_null_and_an_empty_one_empty() {
        let headers = vec![
            (b"null".to_vec(), None),
            (b"\xff".to_vec(), Some(Vec::new())),
        ];

        assert_eq!(decode(&encode(&headers)), Ok(headers));
        assert_eq!(decode(&NULL), Err(DamagedHeaders), "a name without bytes");
    }

    proptest! {
        #[test]
        fn headers_survive_storage(headers: Headers) {
            prop_assert_eq!(decode(&encode(&headers)), Ok(headers));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
