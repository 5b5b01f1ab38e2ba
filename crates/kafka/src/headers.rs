//! Record headers, and their encoding as one column of the outbox and the retry store.
//!
//! Kafka headers are an ordered list of pairs of arbitrary bytes; a value can be null. JSON cannot hold the bytes and a map
//! loses the order, so the encoding is a list of length-prefixed strings.

use opentelemetry::propagation::Extractor;
use rdkafka::message::BorrowedHeaders;

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
        push_header(&mut bytes, name, value.as_deref());
    }
    bytes
}

/// Decodes what [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<Headers, DamagedHeaders> {
    let owned = |(name, value): HeaderRef<'_>| (name.to_vec(), value.map(<[u8]>::to_vec));
    Encoded(bytes).map(|header| header.map(owned)).collect()
}

/// Name and value of a header of a [`RecordHeaders`].
pub type HeaderRef<'a> = (&'a [u8], Option<&'a [u8]>);

/// The headers of a consumed record, in the encoding of [`encode`]: one allocation, instead of two for each header.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RecordHeaders(Vec<u8>);

/// Capacity for the headers of an event of this system, which have some 550 bytes.
const USUAL_SIZE: usize = 640;

impl RecordHeaders {
    pub fn from_native(native: &BorrowedHeaders) -> Self {
        let mut bytes = Vec::with_capacity(USUAL_SIZE);
        for (name, value) in native_headers::iter_native(native) {
            push_header(&mut bytes, name, value);
        }
        Self(bytes)
    }

    /// Takes what [`encode`] wrote.
    pub fn from_encoded(bytes: Vec<u8>) -> Result<Self, DamagedHeaders> {
        Encoded(&bytes).try_for_each(|header| header.map(drop))?;
        Ok(Self(bytes))
    }

    /// As [`encode`] would write them.
    pub fn as_encoded(&self) -> &[u8] {
        &self.0
    }

    /// In order. A name can occur several times.
    pub fn iter(&self) -> Iter<'_> {
        Iter(Encoded(&self.0))
    }

    /// The value of the first header of this name, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.iter().find(|(header, _)| *header == name.as_bytes())?;
        std::str::from_utf8(value?).ok()
    }

    pub fn to_vec(&self) -> Headers {
        let owned = |(name, value): HeaderRef<'_>| (name.to_vec(), value.map(<[u8]>::to_vec));
        self.iter().map(owned).collect()
    }
}

impl From<Headers> for RecordHeaders {
    fn from(headers: Headers) -> Self {
        Self(encode(&headers))
    }
}

impl FromIterator<Header> for RecordHeaders {
    fn from_iter<T: IntoIterator<Item = Header>>(headers: T) -> Self {
        Headers::from_iter(headers).into()
    }
}

impl std::fmt::Debug for RecordHeaders {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// For the trace context in the headers.
impl Extractor for RecordHeaders {
    fn get(&self, key: &str) -> Option<&str> {
        self.text(key)
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values = self.iter().filter(|(name, _)| *name == key.as_bytes());
        values
            .map(|(_, value)| std::str::from_utf8(value?).ok())
            .collect()
    }

    fn keys(&self) -> Vec<&str> {
        let names = self.iter();
        names
            .filter_map(|(name, _)| std::str::from_utf8(name).ok())
            .collect()
    }
}

impl<'a> IntoIterator for &'a RecordHeaders {
    type Item = HeaderRef<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The headers of a [`RecordHeaders`], in order.
#[derive(Debug)]
pub struct Iter<'a>(Encoded<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = HeaderRef<'a>;

    fn next(&mut self) -> Option<HeaderRef<'a>> {
        // Not damaged: checked by every constructor.
        self.0.next()?.ok()
    }
}

/// Encoded headers. An error is the last item.
#[derive(Debug)]
struct Encoded<'a>(&'a [u8]);

impl<'a> Iterator for Encoded<'a> {
    type Item = Result<HeaderRef<'a>, DamagedHeaders>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| {
            let header = take_header(&mut self.0);
            header.inspect_err(|_| self.0 = &[])
        })
    }
}

fn take_header<'a>(bytes: &mut &'a [u8]) -> Result<HeaderRef<'a>, DamagedHeaders> {
    let name = take(bytes)?.ok_or(DamagedHeaders)?;
    Ok((name, take(bytes)?))
}

fn push_header(bytes: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    push(bytes, name);
    match value {
        Some(value) => push(bytes, value),
        None => bytes.extend_from_slice(&NULL),
    }
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
fn take<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, DamagedHeaders> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(DamagedHeaders)?;
    if *length == NULL {
        *bytes = rest;
        return Ok(None);
    }
    let length = u32::from_le_bytes(*length) as usize;
    let (field, rest) = rest.split_at_checked(length).ok_or(DamagedHeaders)?;
    *bytes = rest;
    Ok(Some(field))
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

    #[test]
    fn the_headers_of_an_event_are_read_with_one_allocation() {
        let header = |n: u8| (vec![b'n'; 12], Some(vec![n; 36]));
        let sent = write_native(&(0..11).map(header).collect::<Headers>());

        let read = || drop(RecordHeaders::from_native(sent.as_borrowed()));

        assert_eq!(allocation_counter::measure(read).count_total, 1);
    }

    proptest! {
        #[test]
        fn headers_survive_storage(headers: Headers) {
            prop_assert_eq!(decode(&encode(&headers)), Ok(headers));
        }

        #[test]
        fn headers_of_a_record_are_what_was_encoded(headers: Headers) {
            let record = RecordHeaders::from(headers.clone());

            prop_assert_eq!(record.to_vec(), headers.clone());
            prop_assert_eq!(record.as_encoded(), encode(&headers));
            let read = write_native(&headers);
            let native = RecordHeaders::from_native(read.as_borrowed());
            prop_assert_eq!(native.to_vec(), read_native(read.as_borrowed()));
            prop_assert_eq!(RecordHeaders::from_encoded(encode(&headers)), Ok(record));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            let decoded = decode(&bytes);
            let record = RecordHeaders::from_encoded(bytes);

            prop_assert_eq!(record.map(|headers| headers.to_vec()), decoded);
        }
    }
}
