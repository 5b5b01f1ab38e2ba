//! The client's journal: what it was about to ask, what it was told, and what it was shown; one JSON line each.
//!
//! ```text
//! invoked ──▶ ok | refused | unknown        a call; written before it is made, and when it has ended
//! read                                      what a GetOrder or a WatchOrder showed, with its begin and its end
//! ```
//!
//! A call without an end is `unknown`: it may have happened or not. So is everything that the service itself did not
//! call wrong. One journal is written by one process, which therefore is one client.
//!
//! A process that is killed may leave half a line at the end. That line is counted and left out: what it was about had
//! not begun, or had an end that may be taken as unknown. Any other line that cannot be read is an error.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A call is about to be made.
    Invoked(Invoked),
    /// It has succeeded.
    Ok(Answered),
    /// It was refused for good: it has had no effect.
    Refused(Unanswered),
    /// It may have had its effect or not.
    Unknown(Unanswered),
    /// An order was read.
    Read(Reading),
}

/// A call that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoked {
    /// Number of the call in this journal.
    pub call: u64,
    /// When, in microseconds since the epoch, by a clock that never goes back while the journal is written.
    pub at: i64,
    /// What is asked.
    pub what: Asked,
}

/// What a call asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// PlaceOrder.
    Place(Intent),
    /// CancelOrder of the order with this id.
    Cancel {
        /// The order.
        order_id: String,
    },
}

/// An order that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The id that the client gave.
    pub request_id: String,
    /// The customer.
    pub customer_id: String,
    /// Where the order is from, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice: Option<String>,
    /// SKU, quantity and price of a piece in minor units, in the order of the request.
    pub lines: Vec<(String, i32, i64)>,
    /// The currency of the first line.
    pub currency: String,
    /// Sum over the lines, as the client counts it.
    pub total: i64,
}

/// The end of a call that has succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The call.
    pub call: u64,
    /// When it ended, as in [`Invoked::at`].
    pub at: i64,
    /// The order that the answer is about.
    pub order_id: String,
    /// Its version and status in the answer.
    pub version: i64,
    /// `ACCEPTED`, `FULFILLED` and so on.
    pub status: String,
}

/// The end of a call that has not succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// The call.
    pub call: u64,
    /// When it ended, as in [`Invoked::at`].
    pub at: i64,
    /// The gRPC code, and the reason if the service gave one.
    pub why: String,
}

/// A read that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The order.
    pub order_id: String,
    /// When it began, as in [`Invoked::at`].
    pub begun: i64,
    /// When it ended, as in [`Invoked::at`].
    pub ended: i64,
    /// What was read.
    pub kind: ReadKind,
    /// What was shown, in the sequence in which it was.
    pub seen: Vec<Seen>,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadKind {
    /// The order as it was, or nothing, if it was said not to exist.
    Get,
    /// The history after a version.
    Watch {
        /// The version.
        after: i64,
        /// Whether the service ended the stream as one that has shown all there will ever be.
        to_the_end: bool,
    },
}

/// A version of an order, as it was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The version.
    pub version: i64,
    /// The event that led to it; GetOrder does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The status at this version.
    pub status: String,
    /// Why the order was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a journal holds.
#[derive(Debug)]
pub struct Lines {
    reader: BufReader<File>,
    number: u64,
    truncated: u64,
}

/// Opens a journal.
///
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

/// A line longer than this was not written by a client of ours: an order has at most 500 positions.
const MAX_LINE: u64 = 1024 * 1024;

impl Lines {
    /// The next line and its number, from 1.
    ///
    /// # Errors
    /// When a line cannot be read that is not the unfinished last one.
    pub fn next_line(&mut self) -> Result<Option<(u64, Line)>> {
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

    /// Unfinished lines so far: one at most.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<(Vec<Line>, u64)> {
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
    fn an_unfinished_last_line_is_counted_and_left_out() {
        let (lines, truncated) = read_all(&format!("{UNKNOWN}\n{}", &UNKNOWN[..20])).unwrap();

        assert_eq!((lines.len(), truncated), (1, 1));
    }

    #[test]
    fn any_other_line_that_cannot_be_read_is_an_error_that_names_it() {
        let error = read_all(&format!("{UNKNOWN}\n{}\n{UNKNOWN}\n", &UNKNOWN[..20])).unwrap_err();

        assert!(format!("{error:#}").contains("line 2"), "{error:#}");
    }

    #[test]
    fn a_line_without_end_takes_no_memory_without_bound() {
        let endless = "x".repeat(2 * MAX_LINE as usize);

        assert!(read_all(&endless).is_err());
    }
}
