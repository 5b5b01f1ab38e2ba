//! The journal as tables: calls with their results, and reads.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::batch::{RowBatch, SqlValue};
use crate::journal::{
    self, Answered, Asked, Intent, Invoked, JournalLine, ObservedRead, ReadKind, Seen,
};

/// Reads a journal; returns the number of truncated lines at its end.
pub(super) async fn load(connection: &mut SqliteConnection, path: &Path) -> Result<u64> {
    let mut lines = journal::open(path)?;
    let mut load = JournalLoader::new(connection);
    while let Some((number, line)) = lines.next_line()? {
        let number = i64::try_from(number)?;
        let loaded = load.line(number, line).await;
        loaded.with_context(|| format!("line {number} of the journal"))?;
    }
    load.finish().await?;
    Ok(lines.truncated())
}

/// A run without a journal: every order counts as requested and confirmed, and no line as truncated.
pub(super) async fn confirm_everything(connection: &mut SqliteConnection) -> Result<u64> {
    sqlx::raw_sql(
        "INSERT INTO confirmed (order_id, request_id, customer_id)
             SELECT order_id, request_id, customer_id FROM main.orders;
         INSERT INTO place_calls (request_id, customer_id, outcome)
             SELECT request_id, customer_id, 'ok' FROM main.orders;
         INSERT INTO cancellations (order_id, outcome) SELECT order_id, 'ok' FROM main.orders",
    )
    .execute(connection)
    .await?;
    Ok(0)
}

/// State while reading a journal.
struct JournalLoader<'a> {
    connection: &'a mut SqliteConnection,
    /// Calls without an end so far, with the line of their start.
    open: HashMap<u64, (i64, Invoked)>,
    place_calls: RowBatch,
    confirmed: RowBatch,
    cancellations: RowBatch,
    unmatched_ends: RowBatch,
    reads: RowBatch,
    seen: RowBatch,
}

impl<'a> JournalLoader<'a> {
    fn new(connection: &'a mut SqliteConnection) -> Self {
        Self {
            connection,
            open: HashMap::new(),
            place_calls: RowBatch::new("place_calls", 8),
            confirmed: RowBatch::new("confirmed", 7),
            cancellations: RowBatch::new("cancellations", 3),
            unmatched_ends: RowBatch::new("unmatched_ends", 2),
            reads: RowBatch::new("reads", 9),
            seen: RowBatch::new("seen", 6),
        }
    }

    async fn line(&mut self, number: i64, line: JournalLine) -> Result<()> {
        match line {
            JournalLine::Invoked(invoked) => {
                self.open.insert(invoked.call, (number, invoked));
                Ok(())
            }
            JournalLine::Ok(answer) => self.answered(number, answer).await,
            JournalLine::Refused(end) => self.ended(number, end.call, "refused").await,
            JournalLine::Unknown(end) => self.ended(number, end.call, "unknown").await,
            JournalLine::Read(reading) => self.read(number, reading).await,
        }
    }

    async fn answered(&mut self, number: i64, answer: Answered) -> Result<()> {
        let Some((begun_at, invoked)) = self.open.remove(&answer.call) else {
            return self.stray(number, answer.call).await;
        };
        let order_id = id(&answer.order_id)?;
        if let Asked::Place(intent) = &invoked.what {
            let mut row = vec![order_id.into()];
            row.extend(intent_columns(intent)?);
            self.confirmed.push(self.connection, row).await?;
        }
        self.asked_for(begun_at, &invoked.what, "ok").await?;
        let shown = Seen {
            version: answer.version,
            event: None,
            status: answer.status,
            reason: None,
        };
        self.shown(number, order_id, &[shown]).await?;
        let row = vec![
            number.into(),
            order_id.into(),
            "answer".into(),
            invoked.at.into(),
            answer.at.into(),
            answer.version.into(),
            answer.version.into(),
            1.into(),
            0.into(),
        ];
        self.reads.push(self.connection, row).await
    }

    async fn ended(&mut self, number: i64, call: u64, outcome: &str) -> Result<()> {
        match self.open.remove(&call) {
            Some((begun_at, invoked)) => self.asked_for(begun_at, &invoked.what, outcome).await,
            None => self.stray(number, call).await,
        }
    }

    async fn asked_for(&mut self, line: i64, what: &Asked, outcome: &str) -> Result<()> {
        match what {
            Asked::Place(intent) => {
                let mut row = vec![line.into()];
                row.extend(intent_columns(intent)?);
                row.push(outcome.into());
                self.place_calls.push(self.connection, row).await
            }
            Asked::Cancel { order_id } => {
                let order_id = Uuid::try_parse(order_id).ok();
                let row = vec![line.into(), order_id.into(), outcome.into()];
                self.cancellations.push(self.connection, row).await
            }
        }
    }

    async fn stray(&mut self, number: i64, call: u64) -> Result<()> {
        let row = vec![number.into(), i64::try_from(call)?.into()];
        self.unmatched_ends.push(self.connection, row).await
    }

    async fn read(&mut self, number: i64, reading: ObservedRead) -> Result<()> {
        let order_id = id(&reading.order_id)?;
        let last = reading.seen.last().map(|seen| seen.version);
        let (kind, first, last, whole, to_the_end) = match reading.kind {
            ReadKind::Get => ("get", last.unwrap_or(0), last.unwrap_or(0), true, false),
            // A broken stream need not be complete, and an empty one proves nothing.
            ReadKind::Watch { after, to_the_end } => {
                let to_the_end = to_the_end && last.is_some();
                (
                    "watch",
                    after + 1,
                    last.unwrap_or(0),
                    to_the_end,
                    to_the_end,
                )
            }
        };
        self.shown(number, order_id, &reading.seen).await?;
        let row = vec![
            number.into(),
            order_id.into(),
            kind.into(),
            reading.begun.into(),
            reading.ended.into(),
            first.into(),
            last.into(),
            i64::from(whole).into(),
            i64::from(to_the_end).into(),
        ];
        self.reads.push(self.connection, row).await
    }

    async fn shown(&mut self, number: i64, order_id: Uuid, seen: &[Seen]) -> Result<()> {
        for seen in seen {
            let row = vec![
                number.into(),
                order_id.into(),
                seen.version.into(),
                seen.event.clone().into(),
                seen.status.clone().into(),
                seen.reason.clone().into(),
            ];
            self.seen.push(self.connection, row).await?;
        }
        Ok(())
    }

    /// Calls without an end may have taken effect.
    async fn finish(mut self) -> Result<()> {
        for (line, invoked) in std::mem::take(&mut self.open).into_values() {
            self.asked_for(line, &invoked.what, "unknown").await?;
        }
        for batch in [
            &mut self.place_calls,
            &mut self.confirmed,
            &mut self.cancellations,
            &mut self.unmatched_ends,
            &mut self.reads,
            &mut self.seen,
        ] {
            batch.write(self.connection).await?;
        }
        Ok(())
    }
}

fn intent_columns(intent: &Intent) -> Result<[SqlValue; 6]> {
    Ok([
        Uuid::try_parse(&intent.request_id).ok().into(),
        intent.customer_id.clone().into(),
        intent.invoice.clone().into(),
        serde_json::to_string(&intent.lines)?.into(),
        intent.currency.clone().into(),
        intent.total.into(),
    ])
}

/// A requested id may be malformed, and is then refused. Ids in answers and reads are valid.
fn id(text: &str) -> Result<Uuid> {
    Uuid::try_parse(text).with_context(|| format!("{text:?} is no UUID"))
}
