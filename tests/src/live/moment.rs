//! What can be seen at this moment, in one sentence: chosen from the states and figures, never from what was pressed.
//!
//! The sentence is the same as long as the situation is, so that a screen reader reads it once; its figures stand apart.

use serde::Serialize;

use super::board::Totals;
use super::chapters::{Chapter, ChapterLink};
use super::controls::ProcessRow;
use super::gauges::GaugeValues;
use super::load::LoadSettings;
use super::payments::Payments;
use crate::stack::Service;

/// Records waiting in a queue that a reader can see as a backlog.
const BACKLOG: f64 = 20.0;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Moment {
    text: String,
    figures: String,
    chapter: ChapterLink,
    is_fault: bool,
}

/// What the sentence is chosen from.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) processes: &'a [ProcessRow],
    pub(super) gauges: &'a GaugeValues,
    pub(super) load: LoadSettings,
    pub(super) totals: &'a Totals,
    /// Medians of the last seconds in milliseconds: of confirmations, and of times to outcome.
    pub(super) medians: (Option<f64>, Option<f64>),
}

impl Seen<'_> {
    pub(super) fn moment(&self) -> Moment {
        let (chapter, is_fault, text) = self.situation();
        Moment {
            text: text.to_owned(),
            figures: self.figures(),
            chapter: chapter.link(),
            is_fault,
        }
    }

    fn situation(&self) -> (Chapter, bool, &'static str) {
        if self.is_away(Service::Database) {
            return (
                Chapter::Deadlines,
                true,
                "The database is away: no order can be confirmed, and each call ends by its deadline with an error.",
            );
        }
        if self.is_away(Service::Orders) {
            return (
                Chapter::Deadlines,
                true,
                "order-service is away: no order can be placed. What was accepted goes on being processed.",
            );
        }
        if self.is_away(Service::Broker) {
            return (
                Chapter::Outbox,
                true,
                "The broker is away. Orders are confirmed all the same; their events wait in the outbox.",
            );
        }
        if self.is_away(Service::Processing) {
            return (
                Chapter::Fallback,
                true,
                "processing-service is away. Orders are confirmed all the same, their stock unverified; their events wait on the topic.",
            );
        }
        if self.gauge("breaker") > 0.0 {
            return (
                Chapter::Fallback,
                true,
                "The circuit breaker is open: order-service does not ask for the stock, and accepts orders as unverified.",
            );
        }
        if self.gauge("orders_outbox") + self.gauge("orders_lag") > BACKLOG {
            return (
                Chapter::Queue,
                false,
                "A backlog is worked off: confirmations stay fast, and outcomes come later.",
            );
        }
        if self.load.rate > 0 {
            return self.under_load();
        }
        if self.totals.accepted > 0 {
            return (
                Chapter::Tracing,
                false,
                "Each order was confirmed at once and finished later. Choose an order to see how.",
            );
        }
        (
            Chapter::Hybrid,
            false,
            "Everything runs. Place an order: its confirmation comes at once, its outcome later.",
        )
    }

    fn under_load(&self) -> (Chapter, bool, &'static str) {
        match self.load.payments {
            Payments::Mixed | Payments::Approved => (
                Chapter::Hybrid,
                false,
                "Orders are confirmed synchronously and processed asynchronously: two latencies.",
            ),
            Payments::Slow | Payments::Hanging => (
                Chapter::Retries,
                true,
                "Payments are slow. Confirmations do not wait for them; only outcomes do.",
            ),
            Payments::Failing | Payments::Declined => (
                Chapter::Payments,
                true,
                "Payments fail. Orders are confirmed, then rejected, and their stock is released.",
            ),
        }
    }

    fn figures(&self) -> String {
        let time =
            |time: Option<f64>| time.map_or("–".to_owned(), |time| format!("{time:.0} ms"));
        let (confirmation, outcome) = self.medians;
        let open = self.totals.accepted.saturating_sub(
            self.totals.fulfilled
                + self.totals.rejected
                + self.totals.cancelled
                + self.totals.unwatched,
        );
        format!(
            "Last 5 s, median: confirmation {}, outcome {}. Accepted and not final: {open}.",
            time(confirmation),
            time(outcome)
        )
    }

    fn is_away(&self, service: Service) -> bool {
        let mut of_service = self
            .processes
            .iter()
            .filter(|row| row.service == service)
            .peekable();
        of_service.peek().is_some() && of_service.all(|row| row.state != "running")
    }

    fn gauge(&self, name: &str) -> f64 {
        self.gauges.get(name).copied().unwrap_or(0.0)
    }
}
