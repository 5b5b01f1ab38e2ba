//! One way through all scenarios: a fresh stack, a warm-up, then each row of the table under its load and disturbance.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::books::{self, Books};
use super::cell::{Cell, Evidence};
use super::ledger::Ledger;
use super::order::StudyOrders;
use super::outcomes::OutcomeReader;
use super::redelivery::Redelivery;
use super::scenario::{Disturbance, Lengths, SCENARIOS, Scenario};
use super::site::Site;
use super::usage::Usage;
use super::users::Users;
use super::way::Way;
use super::ways::Front;
use crate::proxy::NetworkFault;
use crate::stack::Service;

/// The broken line: once per period, for this long.
const PERIOD: Duration = Duration::from_secs(1);
const BROKEN: Duration = Duration::from_millis(100);

/// Time between two looks at what is unfinished.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A synchronous order that outlives its call ends within this time: its payment attempt takes at most two seconds more. What
/// is unfinished then has no process that works on it.
const SYNC_SETTLE: Duration = Duration::from_secs(4);

/// The run of one way.
#[derive(Debug)]
pub(super) struct WayRunner<'a> {
    site: &'a Site,
    orders: &'a StudyOrders,
    lengths: Lengths,
    ledger: Ledger,
    front: Front,
    _outcomes: Option<OutcomeReader>,
}

impl<'a> WayRunner<'a> {
    pub(super) fn new(site: &'a Site, orders: &'a StudyOrders, lengths: Lengths) -> Result<Self> {
        let ledger = Ledger::default();
        let outcomes = match site.way {
            Way::AsyncOnly | Way::AsyncWaiting => {
                Some(OutcomeReader::start(site.broker()?, ledger.clone()))
            }
            Way::SyncOnly | Way::Hybrid => None,
        };
        Ok(Self {
            front: Front::open(site, &ledger)?,
            site,
            orders,
            lengths,
            ledger,
            _outcomes: outcomes,
        })
    }

    /// Runs every scenario. The cells of those that were completed are in `cells` also after an error or an interrupt.
    pub(super) async fn run(&self, cells: &Mutex<Vec<Cell>>) -> Result<()> {
        let warm_up = self.users(Disturbance::Nothing);
        let ids = warm_up.offer(self.lengths.warm_up()).await?;
        self.settle(&ids, 0).await?;
        for scenario in &SCENARIOS {
            let cell = self.scenario(scenario).await?;
            println!("{}", super::text::progress(&cell));
            cells
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(cell);
        }
        self.site.journal.close()
    }

    async fn scenario(&self, scenario: &Scenario) -> Result<Cell> {
        let disturbance = scenario.disturbance;
        let before = Books::read(self.site).await?;
        let stuck = books::unfinished(self.site).await?;
        let mut usage = Usage::begin(self.site);
        let work = async {
            let redelivery = match disturbance {
                // Nothing reads the events of the synchronous way.
                Disturbance::Twice if self.site.way != Way::SyncOnly => {
                    Some(Redelivery::start(self.site)?)
                }
                _ => None,
            };
            let ids = self.disturbed_load(disturbance).await?;
            self.settle(&ids, stuck).await?;
            if let Some(redelivery) = redelivery {
                redelivery.end().await?;
            }
            anyhow::Ok(ids)
        };
        let ids = usage.during(self.site, work).await?;
        let evidence = Evidence {
            courses: self.ledger.courses(&ids),
            before,
            after: Books::read(self.site).await?,
            usage,
        };
        Ok(Cell::of(scenario.name, self.site.way, &evidence))
    }

    fn users(&self, disturbance: Disturbance) -> Users {
        Users::new(&self.front, &self.ledger, self.orders, disturbance)
    }

    /// Offers the load of a disturbance together with it.
    async fn disturbed_load(&self, disturbance: Disturbance) -> Result<Vec<Uuid>> {
        let (users, load) = (self.users(disturbance), self.lengths.load(disturbance));
        let offer = users.offer(load);
        match disturbance {
            Disturbance::Down(service) => {
                let outage = self.outage(service, disturbance);
                let (ids, ()) = tokio::try_join!(offer, outage)?;
                Ok(ids)
            }
            Disturbance::BrokenLine => {
                let ids = tokio::select! {
                    ids = offer => ids?,
                    broken = self.break_line() => return Err(broken),
                };
                self.site.set_entry(NetworkFault::Pass)?;
                Ok(ids)
            }
            Disturbance::Hops => {
                self.site.set_hops(true)?;
                let ids = offer.await?;
                self.site.set_hops(false)?;
                Ok(ids)
            }
            Disturbance::Nothing
            | Disturbance::Spike
            | Disturbance::SlowPayments
            | Disturbance::Twice => offer.await,
        }
    }

    async fn outage(&self, service: Service, disturbance: Disturbance) -> Result<()> {
        let start = Instant::now();
        let Some((begin, end)) = self.lengths.disturbed(disturbance) else {
            return Ok(());
        };
        sleep_until(start + begin).await;
        self.site.kill(service).await?;
        sleep_until(start + end).await;
        Ok(self.site.stack.start_service(service).await?)
    }

    /// Returns only an error.
    async fn break_line(&self) -> anyhow::Error {
        loop {
            sleep(PERIOD - BROKEN).await;
            if let Err(error) = self.site.set_entry(NetworkFault::Cut) {
                return error;
            }
            sleep(BROKEN).await;
            if let Err(error) = self.site.set_entry(NetworkFault::Pass) {
                return error;
            }
        }
    }

    /// Waits until every promise is kept and nothing new is unfinished, or the time is over: what is open then counts as lost.
    async fn settle(&self, ids: &[Uuid], stuck: i64) -> Result<()> {
        let limit = match self.site.way {
            Way::SyncOnly => SYNC_SETTLE,
            _ => self.lengths.settle,
        };
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let is_kept = self.ledger.promises_are_kept(ids);
            if is_kept && books::unfinished(self.site).await? <= stuck {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}
