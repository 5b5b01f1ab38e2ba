//! Writes the journal: each call before its start, its result after its end, and every read.
//!
//! Each line is written to the file at once, so that a killed client loses at most the line in progress. A journal that
//! is [synced](Journal::synced) also survives a crash of the machine: the start of a call is on disk before the call is
//! made. That costs an fsync per call, which blocks its thread. A journal that is [buffered](Journal::buffered) is written in
//! blocks and complete when it is closed: it takes less of the machine from what is measured.
//!
//! A failed write fails the whole run at its [end](Journal::close), and no call is made without its line.
//!
//! The format is defined, and read, by [`auditor::journal`].

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use auditor::journal::{
    Answered, Asked, EndedCall, Intent, Invoked, JournalLine, ObservedRead, ReadKind, Seen,
};
use proto::orders::v1::{Order, OrderHistoryEntry, PlaceOrderRequest};
use tonic::{Code, Status};

use crate::client::failure::{CallFailure, code_name};
use crate::client::vocabulary::{rejection_name, status_name};

/// A journal being written. Clones write to the same file.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    // Held for one write, some microseconds, and never across an await.
    file: Mutex<BufWriter<File>>,
    writes: JournalWrites,
    calls: AtomicU64,
    clock: Clock,
    /// The error of the first failed write.
    failure: OnceLock<String>,
}

/// When a line reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JournalWrites {
    /// When a buffer is full.
    InBlocks,
    AtOnce,
    /// At once; and synced, if it is the start of a call.
    Synced,
}

/// The journal entry could not be written, so the call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call could not be written into the journal")]
pub struct Unwritten;

/// The wall-clock time when the journal was opened, and a monotonic clock since then.
#[derive(Debug)]
struct Clock {
    opened: SystemTime,
    since: Instant,
}

/// A call in flight. Dropped without an end, its outcome is unknown.
#[derive(Debug)]
#[must_use]
pub struct Call {
    journal: Journal,
    number: u64,
    is_open: bool,
}

/// A read in flight.
#[derive(Debug)]
#[must_use]
pub struct OpenRead {
    journal: Journal,
    order_id: String,
    begun: i64,
}

impl Journal {
    /// Starts an empty journal.
    pub fn create(path: &Path) -> Result<Self> {
        Self::start(path, JournalWrites::AtOnce)
    }

    /// Starts an empty journal that syncs the start of each call to disk before the call is made.
    pub fn synced(path: &Path) -> Result<Self> {
        Self::start(path, JournalWrites::Synced)
    }

    /// Starts an empty journal that is written in blocks. A killed client loses the last lines.
    pub fn buffered(path: &Path) -> Result<Self> {
        Self::start(path, JournalWrites::InBlocks)
    }

    fn start(path: &Path, writes: JournalWrites) -> Result<Self> {
        let file = File::create(path);
        let file = file.with_context(|| format!("cannot create the journal {}", path.display()))?;
        Ok(Self(Arc::new(Shared {
            file: Mutex::new(BufWriter::new(file)),
            writes,
            calls: AtomicU64::new(1),
            clock: Clock {
                opened: SystemTime::now(),
                since: Instant::now(),
            },
            failure: OnceLock::new(),
        })))
    }

    /// Records that an order is about to be placed.
    pub fn place(
        &self,
        request: &PlaceOrderRequest,
        invoice: Option<&str>,
    ) -> Result<Call, Unwritten> {
        self.invoke(Asked::Place(intent(request, invoice)))
    }

    /// Records that a cancellation is about to be requested.
    pub fn cancel(&self, order_id: &str) -> Result<Call, Unwritten> {
        let order_id = order_id.to_owned();
        self.invoke(Asked::Cancel { order_id })
    }

    /// Records that an order is about to be read.
    pub fn read(&self, order_id: &str) -> OpenRead {
        OpenRead {
            journal: self.clone(),
            order_id: order_id.to_owned(),
            begun: self.now(),
        }
    }

    /// Ends the run: fails if a line could not be written.
    pub fn close(&self) -> Result<()> {
        let file = self.0.file.lock();
        let mut file = file.map_err(|_| anyhow::anyhow!("a writer of the journal panicked"))?;
        file.flush().context("cannot write to the journal")?;
        drop(file);
        match self.0.failure.get() {
            Some(failure) => bail!("the journal is incomplete: {failure}"),
            None => Ok(()),
        }
    }

    /// The error of the first failed write; from then on no call is made.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure.get().map(String::as_str)
    }

    fn invoke(&self, what: Asked) -> Result<Call, Unwritten> {
        let number = self.0.calls.fetch_add(1, Ordering::Relaxed);
        let at = self.now();
        let line = JournalLine::Invoked(Invoked {
            call: number,
            at,
            what,
        });
        self.write(&line, self.0.writes == JournalWrites::Synced)?;
        Ok(Call {
            journal: self.clone(),
            number,
            is_open: true,
        })
    }

    fn write(&self, line: &JournalLine, is_synced: bool) -> Result<(), Unwritten> {
        self.try_write(line, is_synced).map_err(|error| {
            // The first error is the cause of the others.
            let _ = self.0.failure.set(format!("{error:#}"));
            Unwritten
        })
    }

    /// Writes a line; an error is stored and reported at the end.
    fn note(&self, line: &JournalLine) {
        let _ = self.write(line, false);
    }

    fn try_write(&self, line: &JournalLine, is_synced: bool) -> Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let file = self.0.file.lock();
        let mut file = file.map_err(|_| anyhow::anyhow!("a writer of the journal panicked"))?;
        file.write_all(&text)
            .and_then(|()| match self.0.writes {
                JournalWrites::InBlocks => Ok(()),
                JournalWrites::AtOnce | JournalWrites::Synced => file.flush(),
            })
            .context("cannot write to the journal")?;
        if is_synced {
            file.get_ref()
                .sync_data()
                .context("cannot sync the journal")?;
        }
        Ok(())
    }

    fn now(&self) -> i64 {
        let Clock { opened, since } = &self.0.clock;
        let now = *opened + since.elapsed();
        let elapsed = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
    }
}

impl Call {
    /// Records the end of the call.
    pub fn end(mut self, answer: Result<&Order, &Status>) {
        self.is_open = false;
        let (call, at) = (self.number, self.journal.now());
        let line = match answer {
            Ok(order) => JournalLine::Ok(Answered {
                call,
                at,
                order_id: order.order_id.clone(),
                version: order.version,
                status: status_name(order.status).to_owned(),
            }),
            Err(status) => {
                let why = why(status);
                let end = EndedCall { call, at, why };
                match is_refused(status.code()) {
                    true => JournalLine::Refused(end),
                    false => JournalLine::Unknown(end),
                }
            }
        };
        self.journal.note(&line);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_open {
            let end = EndedCall {
                call: self.number,
                at: self.journal.now(),
                why: "the caller stopped waiting".to_owned(),
            };
            self.journal.note(&JournalLine::Unknown(end));
        }
    }
}

impl OpenRead {
    /// Records that GetOrder returned the order, or NOT_FOUND.
    pub fn got(self, order: Option<&Order>) {
        let seen = order.map(|order| Seen {
            version: order.version,
            event: None,
            status: status_name(order.status).to_owned(),
            reason: reason(order.rejection_reason),
        });
        self.end(ReadKind::Get, seen.into_iter().collect());
    }

    /// Records that WatchOrder returned these events after a version; `to_the_end`: and then ended the stream.
    pub fn watched(self, after: i64, entries: &[OrderHistoryEntry], to_the_end: bool) {
        let seen = entries.iter().map(|entry| Seen {
            version: entry.version,
            event: Some(entry.event_type.clone()),
            status: status_name(entry.status).to_owned(),
            reason: reason(entry.rejection_reason),
        });
        self.end(ReadKind::Watch { after, to_the_end }, seen.collect());
    }

    fn end(self, kind: ReadKind, seen: Vec<Seen>) {
        let ended = self.journal.now();
        let line = JournalLine::Read(ObservedRead {
            order_id: self.order_id,
            begun: self.begun,
            ended,
            kind,
            seen,
        });
        self.journal.note(&line);
    }
}

impl From<Unwritten> for Status {
    fn from(unwritten: Unwritten) -> Self {
        // ABORTED: not to be retried, and not an answer of the service.
        Self::aborted(unwritten.to_string())
    }
}

/// Whether a status states that the call had no effect. Only decisions of the service do; a code that may also come
/// from a broken connection, a timeout or an overloaded server states nothing.
fn is_refused(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated
    )
}

fn why(status: &Status) -> String {
    let failure = CallFailure::from(status.clone());
    let code = code_name(failure.code);
    match failure.reason {
        Some(reason) => format!("{code} ({reason})"),
        None => code.to_owned(),
    }
}

fn reason(reason: i32) -> Option<String> {
    (reason != 0).then(|| rejection_name(reason).to_owned())
}

fn intent(request: &PlaceOrderRequest, invoice: Option<&str>) -> Intent {
    let price = |line: &proto::orders::v1::OrderLine| {
        let price = line.unit_price.clone().unwrap_or_default();
        (price.currency_code, price.minor_units)
    };
    let lines = request.lines.iter();
    let lines: Vec<_> = lines
        .map(|line| (line.sku.clone(), line.quantity, price(line).1))
        .collect();
    let total = lines.iter().fold(0_i64, |sum, (_, quantity, price)| {
        sum.saturating_add(i64::from(*quantity).saturating_mul(*price))
    });
    Intent {
        request_id: request.request_id.clone(),
        customer_id: request.customer_id.clone(),
        invoice: invoice.map(ToOwned::to_owned),
        currency: request
            .lines
            .first()
            .map(|line| price(line).0)
            .unwrap_or_default(),
        lines,
        total,
    }
}

#[cfg(test)]
mod tests;
