//! Everything that decodes bytes from outside, as functions that a fuzzer calls: they must not panic, hang or take memory
//! that the input does not account for, and what they accept must survive being written and read again.
//!
//! Two drivers: libFuzzer, which looks at the code that an input reaches (`make fuzz`, and some seconds of each target in
//! the checks), and the tests here, which damage the corpus at random and need nothing.
//!
//! Not here: `traceparent` is read by OpenTelemetry, and tried where we call it (`telemetry::propagation`).

mod answers;
mod events;
mod requests;
mod settings;
mod storage;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// All targets by the names of their corpora.
pub const TARGETS: [(&str, Target); 7] = [
    ("events", events::events),
    ("requests", requests::requests),
    ("answers", answers::answers),
    ("page_tokens", requests::page_tokens),
    ("settings", settings::settings),
    ("stored_headers", storage::headers),
    ("stored_orders", storage::orders),
];

/// Cuts an input in two: the first part's length stands in front of it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

#[cfg(test)]
mod corpus;
