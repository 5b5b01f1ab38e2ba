//! The journal of a client that placed the three orders, cancelled the third, and watched all of them to their final
//! states.

use auditor::journal::{
    Answered, Asked, Intent, Invoked, JournalLine, ObservedRead, ReadKind, Seen,
};

use super::Books;
use super::history::{STORIES, Story, id, order_id};

impl Books {
    /// Adds to the journal a confirmation of an order that exists nowhere else.
    pub(crate) fn confirm(&mut self, digit: u32, invoice: &str) {
        let digit = char::from_digit(digit, 10).unwrap();
        self.confirm_as(99, invoice, digit, digit);
    }

    /// Adds to the journal a confirmation of this order for the request of that order.
    pub(crate) fn confirm_as(&mut self, call: u64, invoice: &str, request: char, order: char) {
        let intent = Intent {
            request_id: id('f', request),
            invoice: Some(invoice.into()),
            ..intent(&STORIES[0])
        };
        self.journal
            .push(invoked(call, 100_000, Asked::Place(intent)));
        self.journal.push(JournalLine::Ok(Answered {
            call,
            at: 100_001,
            order_id: order_id(order),
            version: 1,
            status: "ACCEPTED".into(),
        }));
    }
}

pub(super) fn lines() -> Vec<JournalLine> {
    let mut lines = Vec::new();
    for (index, story) in STORIES.iter().enumerate() {
        let call = u64::try_from(index).unwrap() * 2 + 1;
        let at = i64::try_from(index).unwrap() * 1_000;
        lines.push(invoked(call, at, Asked::Place(intent(story))));
        lines.push(ok(call, at + 1, story, 1));
        if story.entries[1].event == "CancellationRequested" {
            let order_id = story.order_id();
            lines.push(invoked(call + 1, at + 2, Asked::Cancel { order_id }));
            lines.push(ok(call + 1, at + 3, story, 2));
        }
        let whole = ReadKind::Watch {
            after: 0,
            to_the_end: true,
        };
        lines.push(read(story, whole, at + 4));
        lines.push(read(story, ReadKind::Get, at + 10));
    }
    lines
}

fn invoked(call: u64, at: i64, what: Asked) -> JournalLine {
    JournalLine::Invoked(Invoked { call, at, what })
}

fn intent(story: &Story) -> Intent {
    Intent {
        request_id: story.request_id(),
        customer_id: "17850".into(),
        invoice: Some(story.invoice.into()),
        lines: vec![("85123A".into(), 2, 255), ("85123A".into(), 1, 255)],
        currency: "GBP".into(),
        total: 765,
    }
}

fn ok(call: u64, at: i64, story: &Story, version: usize) -> JournalLine {
    JournalLine::Ok(Answered {
        call,
        at,
        order_id: story.order_id(),
        version: i64::try_from(version).unwrap(),
        status: story.entries[version - 1].status.into(),
    })
}

/// A GetOrder returned the last version, a watch all of them.
fn read(story: &Story, kind: ReadKind, begun: i64) -> JournalLine {
    let first = match kind {
        ReadKind::Get => story.entries.len() - 1,
        ReadKind::Watch { .. } => 0,
    };
    let is_watch = first == 0;
    let entries = story.entries.iter().enumerate().skip(first);
    let seen = entries.map(|(index, entry)| Seen {
        version: i64::try_from(index).unwrap() + 1,
        event: is_watch.then(|| entry.event.to_owned()),
        status: entry.status.into(),
        reason: match entry.event {
            "OrderRejected" => story.reason.map(Into::into),
            _ => None,
        },
    });
    JournalLine::Read(ObservedRead {
        order_id: story.order_id(),
        begun,
        ended: begun + 1,
        kind,
        seen: seen.collect(),
    })
}
