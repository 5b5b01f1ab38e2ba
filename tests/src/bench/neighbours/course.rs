//! One run on a stack: every phase under the same load, then until all orders are final, then the audit.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, anyhow};
use auditor::Limits;
use proto::orders::v1::PlaceOrderRequest;
use tonic::{Request, Status};

use super::arguments::NeighboursArguments;
use super::breaker::{BreakerLog, Transitions, transitions};
use super::phase::LoadPhase;
use super::report::{NeighboursReport, Passed};
use crate::audit;
use crate::client::OrderClient;
use crate::client::connections::Connections;
use crate::client::recorded;
use crate::open_loop::answer::{OrderAvailability, availability, within};
use crate::open_loop::measured::Measured;
use crate::open_loop::{self, Arrivals, Load};
use crate::orders::basket;
use crate::replay::journal::Journal;
use crate::stack::{Service, Stack};

/// File name of the journal in the data directory.
const JOURNAL: &str = "journal.jsonl";

/// Warm-up of the first phase: connections are opened and consumers get their partitions.
const WARM_UP: Duration = Duration::from_secs(3);

/// Maximum time from the last phase until all orders are final: it covers orders placed while processing-service was
/// down, and a rebalance.
const QUIET: Duration = Duration::from_secs(180);

/// All phases of a run.
#[derive(Debug)]
pub(super) struct PhaseRunner<'a> {
    stack: &'a Stack,
    arguments: &'a NeighboursArguments,
    deadline: Duration,
    connections: Connections,
    journal: Journal,
    journal_file: PathBuf,
    // Read between phases, by one task.
    logs: Mutex<Vec<BreakerLog>>,
}

impl<'a> PhaseRunner<'a> {
    pub(super) fn new(stack: &'a Stack, arguments: &'a NeighboursArguments) -> Result<Self> {
        let journal_file = stack.data_dir().join(JOURNAL);
        let deadline = Duration::from_millis(arguments.deadline);
        let logs = stack.processes(Service::Orders).into_iter();
        let logs = logs.map(|process| BreakerLog::new(stack.log_file(process)));
        let addresses = stack.addresses().order_urls();
        Ok(Self {
            stack,
            arguments,
            deadline,
            connections: Connections::to(&addresses, outstanding(arguments.rate, deadline))?,
            journal: Journal::create(&journal_file)?,
            journal_file,
            logs: Mutex::new(logs.collect()),
        })
    }

    /// Runs all phases.
    pub(super) async fn run(&self) -> Result<NeighboursReport> {
        let mut phases = Vec::new();
        // Discards the transitions of the start.
        self.transitions()?;
        for phase in LoadPhase::ALL {
            phase.begin(self.stack).await?;
            let measured = self.load(phase).await?;
            println!("{phase:<14} {measured}");
            phases.push(Passed {
                phase,
                measured,
                transitions: self.transitions()?,
            });
        }
        self.journal.close()?;
        let limits = Limits {
            // Not limited: a frozen or stopped service may publish again.
            wire_duplicates: None,
            set_aside: Some(0),
            ..Limits::default()
        };
        let journal = Some(self.journal_file.as_path());
        let audit = audit::of_the_stopped(self.stack, journal, limits, QUIET).await?;
        Ok(NeighboursReport {
            engines: self.arguments.engines,
            phases,
            audit,
        })
    }

    /// The load of a phase. Returns after its last call, so that no answer is counted in the wrong phase.
    async fn load(&self, phase: LoadPhase) -> Result<Measured> {
        let load = Load {
            arrivals: Arrivals::Poisson,
            per_second: self.arguments.rate,
            warm_up: match phase {
                LoadPhase::Healthy => WARM_UP,
                _ => Duration::ZERO,
            },
            length: Duration::from_secs(self.arguments.seconds),
            outstanding: outstanding(self.arguments.rate, self.deadline),
        };
        let (connections, journal) = (self.connections.clone(), self.journal.clone());
        let deadline = self.deadline;
        open_loop::run(load, move |_| {
            let (client, journal) = (connections.next(), journal.clone());
            async move { within(deadline, place(client, &journal, deadline)).await }
        })
        .await
    }

    fn transitions(&self) -> Result<Transitions> {
        let logs = self.logs.lock();
        let mut logs = logs.map_err(|_| anyhow!("a reader of the logs panicked"))?;
        transitions(&mut logs)
    }
}

/// Calls in flight when every call takes its whole deadline, plus half: none is dropped.
fn outstanding(rate: f64, deadline: Duration) -> usize {
    (rate * deadline.as_secs_f64() * 1.5).ceil() as usize + 1
}

async fn place(
    mut client: OrderClient,
    journal: &Journal,
    deadline: Duration,
) -> Result<OrderAvailability, Status> {
    let mut request: Request<PlaceOrderRequest> = Request::new(basket::request());
    request.set_timeout(deadline);
    let order = recorded::place(&mut client, journal, request, None).await?;
    Ok(availability(&order))
}
