//! The whole state of the page as one JSON text, made again and again; a page that is reloaded lacks nothing.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::Parts;
use super::board::{OrderRow, SecondRow, Totals};
use super::controls::ProcessRow;
use super::gauges::GaugeValues;
use super::load::LoadSettings;
use super::moment::{Moment, Seen};
use super::story::StoryLine;
use super::ways::WayRow;

/// Interval: a switch that is pressed shows its effect without a noticeable delay.
const EVERY: Duration = Duration::from_millis(250);

/// Medians in words are over this many seconds.
const RECENT: usize = 5;

#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    /// Of this run of the program: after a restart, the page forgets what it announced.
    run: String,
    /// Whether metrics and traces arrive here and not elsewhere.
    has_telemetry: bool,
    processes: Vec<ProcessRow>,
    load: LoadSettings,
    totals: Totals,
    gauges: GaugeValues,
    moment: Moment,
    story: Vec<StoryLine>,
    orders: Vec<OrderRow>,
    seconds: Vec<SecondRow>,
    ways: Vec<WayRow>,
}

impl Parts {
    pub(super) fn snapshot(&self) -> Snapshot {
        let (processes, gauges) = (self.controls.rows(), self.gauges.values());
        let (load, totals) = (self.load.settings(), self.board.totals());
        let moment = Seen {
            processes: &processes,
            gauges: &gauges,
            load,
            totals: &totals,
            medians: self.board.recent_medians(RECENT),
        }
        .moment();
        Snapshot {
            run: self.run.clone(),
            has_telemetry: self.timelines.receiver.is_some(),
            processes,
            load,
            totals,
            gauges,
            moment,
            story: self.story.lines(),
            orders: self.board.rows(),
            seconds: self.board.seconds(),
            ways: self.ways.rows(),
        }
    }

    /// Publishes snapshots; never ends.
    pub(super) async fn publish(&self, snapshots: &watch::Sender<Arc<str>>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            // Without a reader there is nothing to do.
            if snapshots.receiver_count() > 1
                && let Ok(text) = serde_json::to_string(&self.snapshot())
            {
                snapshots.send_replace(text.into());
            }
        }
    }
}
