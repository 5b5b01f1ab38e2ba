//! What the client was told: every confirmation and every outcome, one JSON line each.
//!
//! The audit compares the databases with it. A confirmation is written before anything else is done with the order, so
//! that no accepted order can be missing here.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// An order was confirmed.
    Accepted(Accepted),
    /// An order was shown to be final.
    Final(Final),
}

/// A confirmation that reached the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The id that the service gave.
    pub order_id: String,
    /// The id that the client gave.
    pub request_id: String,
    /// The customer.
    pub customer_id: String,
    /// The invoice that was ordered.
    pub invoice: String,
}

/// An outcome that reached the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Final {
    /// The order.
    pub order_id: String,
    /// `FULFILLED`, `REJECTED` or `CANCELLED`.
    pub status: String,
    /// Why it was rejected.
    pub rejection_reason: Option<String>,
}

/// A journal being written.
#[derive(Debug)]
pub struct Journal {
    // A line is some hundred bytes into a buffer: the lock is held for a microsecond and never across an await.
    writer: Mutex<BufWriter<File>>,
}

impl Journal {
    /// Starts an empty journal.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path)
            .with_context(|| format!("cannot create the journal {}", path.display()))?;
        Ok(Self {
            writer: Mutex::new(BufWriter::new(file)),
        })
    }

    /// Appends a line.
    pub fn write(&self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.with_writer(|writer| writer.write_all(&text))
    }

    /// Writes out what is buffered.
    pub fn close(&self) -> anyhow::Result<()> {
        self.with_writer(|writer| writer.flush())
    }

    fn with_writer(
        &self,
        act: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut writer = self
            .writer
            .lock()
            .map_err(|_| anyhow::anyhow!("a writer of the journal panicked"))?;
        act(&mut writer).context("cannot write to the journal")
    }
}

/// The lines of a journal, one by one.
pub fn read(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Line>>> {
    let file =
        File::open(path).with_context(|| format!("cannot open the journal {}", path.display()))?;
    let lines = BufReader::new(file).lines().enumerate();
    Ok(lines.map(|(position, line)| {
        let parsed = line.map_err(anyhow::Error::from);
        parsed
            .and_then(|line| Ok(serde_json::from_str(&line)?))
            .with_context(|| format!("line {} of the journal", position + 1))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let lines = [
            Line::Accepted(Accepted {
                order_id: "0197".into(),
                request_id: "r".into(),
                customer_id: "guest".into(),
                invoice: "536365".into(),
            }),
            Line::Final(Final {
                order_id: "0197".into(),
                status: "REJECTED".into(),
                rejection_reason: Some("OUT_OF_STOCK".into()),
            }),
        ];

        let journal = Journal::create(&path).unwrap();
        for line in &lines {
            journal.write(line).unwrap();
        }
        journal.close().unwrap();

        let back: Vec<_> = read(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(back, lines);
    }
}
