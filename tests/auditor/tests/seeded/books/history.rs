//! The three orders. Ids are two repeated hexadecimal digits: the first is the kind of id, the second the order.

/// An entry of a history.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// First digit of the event's id.
    pub(super) kind: char,
    pub(super) event: &'static str,
    pub(super) status: &'static str,
}

pub(super) struct Story {
    pub(super) digit: char,
    pub(super) invoice: &'static str,
    pub(super) reason: Option<&'static str>,
    pub(super) payment: Option<&'static str>,
    pub(super) entries: &'static [Entry],
}

const fn entry(kind: char, event: &'static str, status: &'static str) -> Entry {
    Entry {
        kind,
        event,
        status,
    }
}

pub(super) const STORIES: [Story; 3] = [
    Story {
        digit: '1',
        invoice: "536365",
        reason: None,
        payment: Some("CAPTURED"),
        entries: &[
            entry('a', "OrderPlaced", "ACCEPTED"),
            entry('b', "StockReserved", "PROCESSING"),
            entry('c', "PaymentCaptured", "PROCESSING"),
            entry('d', "OrderFulfilled", "FULFILLED"),
        ],
    },
    Story {
        digit: '2',
        invoice: "536366",
        reason: Some("PAYMENT_DECLINED"),
        payment: None,
        entries: &[
            entry('a', "OrderPlaced", "ACCEPTED"),
            entry('b', "StockReserved", "PROCESSING"),
            entry('d', "OrderRejected", "REJECTED"),
        ],
    },
    Story {
        digit: '3',
        invoice: "536367",
        reason: None,
        payment: Some("REFUNDED"),
        entries: &[
            entry('a', "OrderPlaced", "ACCEPTED"),
            entry('e', "CancellationRequested", "CANCEL_REQUESTED"),
            entry('b', "StockReserved", "CANCEL_REQUESTED"),
            entry('c', "PaymentCaptured", "CANCEL_REQUESTED"),
            entry('d', "OrderCancelled", "CANCELLED"),
        ],
    },
];

impl Story {
    pub(super) fn order_id(&self) -> String {
        order_id(self.digit)
    }

    pub(super) fn request_id(&self) -> String {
        id('f', self.digit)
    }

    pub(super) fn last(&self) -> (usize, Entry) {
        (self.entries.len(), *self.entries.last().unwrap())
    }

    pub(super) fn outcomes(&self) -> impl Iterator<Item = &'static Entry> {
        self.entries.iter().filter(|entry| entry.is_outcome())
    }
}

impl Entry {
    pub(super) fn is_outcome(&self) -> bool {
        !matches!(self.kind, 'a' | 'e')
    }
}

/// The id of an order.
pub(crate) fn order_id(digit: char) -> String {
    id('0', digit)
}

/// An id in its text form.
pub(crate) fn id(kind: char, digit: char) -> String {
    let pair: String = [kind, digit].iter().collect();
    let (four, two) = (pair.repeat(2), pair.repeat(6));
    format!("{four}{four}-{four}-{four}-{four}-{two}")
}
