//! The client's journal: its calls, their results and its reads, one JSON line each.
//!
//! ```text
//! invoked ──▶ ok | refused | unknown        a call: written before it starts and after it has ended
//! read                                      the result of a GetOrder or a WatchOrder, with its start and end time
//! ```
//!
//! A call without an end is `unknown`: it may have taken effect or not. So is every error that is not a definite refusal
//! by the service. One journal is written by one process and therefore by one client.
//!
//! A killed process may leave a truncated last line. It is counted and skipped: its call had not started, or its end may
//! be treated as unknown. Any other unreadable line is an error.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalLine {
    /// A call, before it starts.
    Invoked(Invoked),
    Ok(Answered),
    /// A definite refusal: no effect.
    Refused(EndedCall),
    /// It may have taken effect or not.
    Unknown(EndedCall),
    Read(ObservedRead),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoked {
    /// Number of the call in this journal.
    pub call: u64,
    /// Microseconds since the epoch, from a clock that is monotonic while the journal is written.
    pub at: i64,
    pub what: Asked,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    Place(Intent),
    Cancel { order_id: String },
}

/// The content of a PlaceOrder call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Assigned by the client.
    pub request_id: String,
    pub customer_id: String,
    /// Source invoice, for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice: Option<String>,
    /// SKU, quantity and price of a piece in minor units, in the order of the request.
    pub lines: Vec<(String, i32, i64)>,
    /// The currency of the first line.
    pub currency: String,
    /// Total as computed by the client.
    pub total: i64,
}

/// The end of a successful call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub call: u64,
    /// End time, as in [`Invoked::at`].
    pub at: i64,
    pub order_id: String,
    pub version: i64,
    /// `ACCEPTED`, `FULFILLED` and so on.
    pub status: String,
}

/// The end of a failed call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedCall {
    pub call: u64,
    /// End time, as in [`Invoked::at`].
    pub at: i64,
    /// The gRPC code, and the reason if the service gave one.
    pub why: String,
}

/// A completed read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedRead {
    pub order_id: String,
    /// Start time, as in [`Invoked::at`].
    pub begun: i64,
    /// End time, as in [`Invoked::at`].
    pub ended: i64,
    pub kind: ReadKind,
    /// The versions returned, in order.
    pub seen: Vec<Seen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadKind {
    /// GetOrder: one version, or none if the order was not found.
    Get,
    /// WatchOrder: the history after a version.
    Watch {
        after: i64,
        /// Whether the service completed the stream, which means that the order is final.
        to_the_end: bool,
    },
}

/// A version of an order, as returned to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub version: i64,
    /// The event of this version; not known from GetOrder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The lines of a journal.
#[derive(Debug)]
pub struct Lines {
    reader: BufReader<File>,
    number: u64,
    truncated: u64,
}

/// # Errors
/// When it cannot be opened.
pub fn open(path: &Path) -> Result<Lines> {
    let file =
        File::open(path).with_context(|| format!("cannot open the journal {}", path.display()))?;
    Ok(Lines {
        reader: BufReader::new(file),
        number: 0,
        truncated: 0,
    })
}

/// Maximum bytes of a valid line: an order has at most 500 lines.
const MAX_LINE: u64 = 1024 * 1024;

impl Lines {
    /// The next line and its number, from 1.
    ///
    /// # Errors
    /// When a line other than a truncated last one cannot be read.
    pub fn next_line(&mut self) -> Result<Option<(u64, JournalLine)>> {
        let mut text = Vec::new();
        let mut limited = self.reader.by_ref().take(MAX_LINE);
        let length = limited.read_until(b'\n', &mut text)?;
        if length == 0 {
            return Ok(None);
        }
        if !text.ends_with(b"\n") && (length as u64) < MAX_LINE {
            self.truncated += 1;
            return Ok(None);
        }
        self.number += 1;
        let line = serde_json::from_slice(&text)
            .with_context(|| format!("line {} of the journal", self.number))?;
        Ok(Some((self.number, line)))
    }

    /// Truncated lines so far: at most one.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<(Vec<JournalLine>, u64)> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        let mut journal = open(file.path())?;
        let mut lines = Vec::new();
        while let Some((_, line)) = journal.next_line()? {
            lines.push(line);
        }
        Ok((lines, journal.truncated()))
    }

    const UNKNOWN: &str = r#"{"unknown":{"call":1,"at":5,"why":"UNAVAILABLE"}}"#;

    #[test]
    fn a_truncated_last_line_is_counted_and_skipped() {
        let (lines, truncated) = read_all(&format!("{UNKNOWN}\n{}", &UNKNOWN[..20])).unwrap();

        assert_eq!((lines.len(), truncated), (1, 1));
    }

    #[test]
    fn any_other_unreadable_line_is_an_error_with_its_number() {
        let error = read_all(&format!("{UNKNOWN}\n{}\n{UNKNOWN}\n", &UNKNOWN[..20])).unwrap_err();

        assert!(format!("{error:#}").contains("line 2"), "{error:#}");
    }

    #[test]
    fn the_memory_of_an_endless_line_is_bounded() {
        let endless = "x".repeat(2 * MAX_LINE as usize);

        assert!(read_all(&endless).is_err());
    }
}
