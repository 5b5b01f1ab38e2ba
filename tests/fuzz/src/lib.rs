//! All decoders of external bytes as fuzz targets: they must not panic, hang or use more memory than the input accounts
//! for, and accepted input must survive encoding and decoding.
//!
//! Two drivers: libFuzzer, which is guided by code coverage (`make fuzz`, and a few seconds per target in the checks),
//! and the tests here, which mutate the corpus at random and have no prerequisites.
//!
//! Not here: `traceparent` is parsed by OpenTelemetry, and tested in `telemetry::propagation`.

mod answers;
mod events;
mod requests;
mod settings;
mod storage;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// All targets by the name of their corpus.
pub const TARGETS: [(&str, Target); 7] = [
    ("events", events::events),
    ("requests", requests::requests),
    ("answers", answers::answers),
    ("page_tokens", requests::page_tokens),
    ("settings", settings::settings),
    ("stored_headers", storage::headers),
    ("stored_orders", storage::orders),
];

/// Splits an input in two: it begins with the length of the first part.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

#[cfg(test)]
mod corpus;
