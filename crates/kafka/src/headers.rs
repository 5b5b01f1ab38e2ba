//! Record headers, and their encoding as one column of the outbox.
//!
//! Kafka headers are an ordered list of names with arbitrary bytes. JSON cannot hold the bytes and a map loses the order,
//! so the encoding is a list of length-prefixed strings.

/// Headers of a Kafka record, in order.
pub type Headers = Vec<(String, Vec<u8>)>;

/// The bytes are not an encoding by [`encode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored headers are damaged")]
pub struct DamagedHeaders;

/// The value of the first header of this name, if it is UTF-8.
pub fn text<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().find(|(header, _)| header == name)?;
    std::str::from_utf8(value).ok()
}

/// Encodes the length (little-endian `u32`) and the bytes of each name and each value in turn.
pub fn encode(headers: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(headers.iter().map(|(n, v)| n.len() + v.len() + 8).sum());
    for (name, value) in headers {
        push(&mut bytes, name.as_bytes());
        push(&mut bytes, value);
    }
    bytes
}

/// Decodes what [`encode`] wrote.
pub fn decode(mut bytes: &[u8]) -> Result<Headers, DamagedHeaders> {
    let mut headers = Headers::new();
    while !bytes.is_empty() {
        let name = String::from_utf8(take(&mut bytes)?).map_err(|_| DamagedHeaders)?;
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

fn take(bytes: &mut &[u8]) -> Result<Vec<u8>, DamagedHeaders> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(DamagedHeaders)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (field, rest) = rest.split_at_checked(length).ok_or(DamagedHeaders)?;
    *bytes = rest;
    Ok(field.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
