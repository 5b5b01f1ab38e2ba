//! Ids as the databases store them: 16 bytes.

use uuid::Uuid;

/// An id from the database in its text form.
pub(crate) fn uuid(blob: &[u8]) -> String {
    Uuid::from_slice(blob).map_or_else(|_| format!("{blob:02x?}"), |id| id.to_string())
}
