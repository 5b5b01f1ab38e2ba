//! Orders at a rate, and spikes. The rate is an open loop: an answer that is late does not delay the next order.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::payments::Payments;
use super::placing::Placing;
use super::tasks::Tasks;

/// Orders per second. The page is for looking; `make load` is for load.
pub(super) const MAX_RATE: u32 = 100;

/// Orders of one spike.
pub(super) const MAX_SPIKE: u32 = 500;

/// Calls outstanding: at the highest rate, those of a whole deadline.
const OUTSTANDING: usize = 256;

/// A forgotten page stops placing orders after this time.
const RATE_LASTS: Duration = Duration::from_mins(10);

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct LoadSettings {
    /// Orders per second; 0: none.
    pub(super) rate: u32,
    pub(super) payments: Payments,
}

#[derive(Clone, Debug)]
pub(super) struct Load {
    settings: Arc<watch::Sender<LoadSettings>>,
    placing: Placing,
    outstanding: Arc<Semaphore>,
    tasks: Tasks,
}

impl Load {
    /// Starts the task that places orders at the rate.
    pub(super) fn start(placing: Placing, tasks: &Tasks) -> Self {
        let load = Self {
            settings: Arc::new(watch::Sender::default()),
            placing,
            outstanding: Arc::new(Semaphore::new(OUTSTANDING)),
            tasks: tasks.clone(),
        };
        let runs = load.clone();
        tasks.spawn(async move { runs.run().await });
        load
    }

    pub(super) fn settings(&self) -> LoadSettings {
        *self.settings.borrow()
    }

    pub(super) fn set_rate(&self, rate: u32) {
        self.settings.send_modify(|settings| settings.rate = rate);
    }

    pub(super) fn set_payments(&self, payments: Payments) {
        self.settings
            .send_modify(|settings| settings.payments = payments);
    }

    /// Places many orders as fast as the calls are answered.
    pub(super) fn spike(&self, orders: u32) {
        let load = self.clone();
        self.tasks.spawn(async move {
            for _ in 0..orders {
                let Ok(place) = load.outstanding.clone().acquire_owned().await else {
                    return;
                };
                load.place_with(place);
            }
        });
    }

    /// Never ends.
    async fn run(&self) {
        let mut changes = self.settings.subscribe();
        loop {
            let settings = *changes.borrow_and_update();
            if settings.rate == 0 {
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            }
            tokio::select! {
                () = self.at_rate(settings.rate) => self.set_rate(0),
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn at_rate(&self, rate: u32) {
        let period = Duration::from_secs(1) / rate;
        let begun = Instant::now();
        let mut ticks = interval_at(begun, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while begun.elapsed() < RATE_LASTS {
            ticks.tick().await;
            // With none free, order-service hangs: an order more would only wait in this process.
            if let Ok(place) = self.outstanding.clone().try_acquire_owned() {
                self.place_with(place);
            }
        }
    }

    fn place_with(&self, place: OwnedSemaphorePermit) {
        let (placing, payments) = (self.placing.clone(), self.settings().payments);
        self.tasks.spawn(async move {
            placing.place(payments).await;
            drop(place);
        });
    }
}
