//! The headers of a record in librdkafka, read and written as bytes. A crate of its own, so that all other crates forbid
//! unsafe code.
//!
//! A broker accepts any bytes as the name of a header. rdkafka 0.39 reads a name as `&str` and panics on one that is not
//! UTF-8 (in `get`, `try_get` and `iter` alike), and writes names from `&str` only. So both directions call librdkafka.
//!
//! librdkafka reports a name as a C string: bytes behind a NUL in a name cannot be read. It reports more than 100,000
//! headers as none.
#![expect(unsafe_code, reason = "rdkafka has no access to header names as bytes")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::slice;

use rdkafka::bindings::{rd_kafka_header_add, rd_kafka_header_get_all, rd_kafka_headers_t};
use rdkafka::message::{BorrowedHeaders, Headers as _, OwnedHeaders};
use rdkafka::types::RDKafkaRespErr;

/// Name and value of a header. A value can be null, which is not the same as empty.
pub type Header = (Vec<u8>, Option<Vec<u8>>);

/// Headers of a record, in order. A name can occur several times.
pub type Headers = Vec<Header>;

/// The headers as librdkafka holds them, without a copy.
pub fn iter_native(native: &BorrowedHeaders) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    (0..native.count()).filter_map(|index| get(native, index))
}

/// Copies headers out of librdkafka.
pub fn read_native(native: &BorrowedHeaders) -> Headers {
    let owned = |(name, value): (&[u8], Option<&[u8]>)| (name.to_vec(), value.map(<[u8]>::to_vec));
    iter_native(native).map(owned).collect()
}

/// Copies headers into librdkafka, for a message to be sent.
pub fn write_native<'a>(headers: impl IntoIterator<Item = &'a Header>) -> OwnedHeaders {
    let native = OwnedHeaders::new();
    for (name, value) in headers {
        add(&native, name, value.as_deref());
    }
    native
}

fn get(native: &BorrowedHeaders, index: usize) -> Option<(&[u8], Option<&[u8]>)> {
    let mut name: *const c_char = ptr::null();
    let mut value: *const c_void = ptr::null();
    let mut length = 0;
    // SAFETY: the pointer is librdkafka's (see `pointer`), and the headers live as long as `native`. The other pointers are
    // valid for writes.
    let error = unsafe {
        rd_kafka_header_get_all(pointer(native), index, &mut name, &mut value, &mut length)
    };
    if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
        return None;
    }
    // SAFETY: librdkafka ends its copy of every name with a NUL. The copy lives as long as `native`, to whose lifetime the
    // result is bound, and is not changed: `native` is borrowed.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    let value = (!value.is_null()).then(|| {
        // SAFETY: a value that is not null has `length` bytes, and lives as long as `native`, unchanged.
        unsafe { slice::from_raw_parts(value.cast::<u8>(), length) }
    });
    Some((name, value))
}

/// Takes a shared reference as [`OwnedHeaders`] gives no other access to its pointer; the caller owns the headers.
fn add(native: &OwnedHeaders, name: &[u8], value: Option<&[u8]>) {
    let (value, length) = value.map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len()));
    // SAFETY: the pointer is librdkafka's (see `pointer`), and `write_native` has the only reference to the headers.
    // librdkafka copies exactly the given numbers of bytes; a slice is never longer than `isize::MAX`. The only error is a
    // list of headers that is read-only, which one created by `OwnedHeaders::new` is not.
    unsafe {
        rd_kafka_header_add(
            pointer(native.as_borrowed()).cast_mut(),
            name.as_ptr().cast(),
            name.len().cast_signed(),
            value.cast(),
            length.cast_signed(),
        );
    }
}

/// The pointer of librdkafka: rdkafka makes a reference to the empty type `BorrowedHeaders` of it, and this is its cast back.
fn pointer(native: &BorrowedHeaders) -> *const rd_kafka_headers_t {
    ptr::from_ref(native).cast()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passed_on(headers: &Headers) -> Headers {
        read_native(write_native(headers).as_borrowed())
    }

    #[test]
    fn no_byte_of_a_header_is_changed() {
        let headers: Headers = vec![
            (b"x-\xff\xfe".to_vec(), Some(b"\0\xff".to_vec())),
            (b"twice".to_vec(), Some(b"1".to_vec())),
            (b"twice".to_vec(), Some(b"2".to_vec())),
            (b"null".to_vec(), None),
            (Vec::new(), Some(Vec::new())),
        ];

        assert_eq!(passed_on(&headers), headers);
        assert_eq!(passed_on(&Headers::new()), Headers::new());
    }

    #[test]
    fn a_name_ends_at_its_nul() {
        let headers = vec![(b"a\0b".to_vec(), Some(b"value".to_vec()))];

        assert_eq!(
            passed_on(&headers),
            [(b"a".to_vec(), Some(b"value".to_vec()))]
        );
    }

    proptest! {
        #[test]
        fn headers_survive_librdkafka(mut headers: Headers) {
            for (name, _) in &mut headers {
                name.retain(|byte| *byte != 0);
            }
            prop_assert_eq!(passed_on(&headers), headers);
        }
    }
}
