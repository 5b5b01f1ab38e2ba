//! Visits every crash point under load: the process dies there, or the step fails there; then
//! the system recovers, and the audit finds nothing lost and nothing duplicated.
//!
//! Each point is visited in each service that has it, with both actions, at a pass that a seed selects. A point that
//! is not reached fails the test, and so does a name without a point in the code.
//!
//! On the production engines, only the points of takeovers between replicas, with a second replica
//! that takes over.
//!
//! `CRASH_SEED=N` repeats the passes of a run, `CRASH_ONLY=TEXT,TEXT` visits only the cases whose line has
//! one of the texts.

use std::env;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use auditor::Limits;
use futures::future::try_join_all;
use proto::orders::v1::Order;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tests::system::{CrashPlan, Draft, Process, Service, System, engines, eventually};
use tokio::time::{Instant, timeout};

mod cases;
mod load;
mod set_aside;

use cases::{Action, Case, Provocation};

/// Concurrent systems: most of the time each waits until its group removes a dead member.
const SYSTEMS: usize = 8;

/// Each of them has a broker, a database server and two replicas of each service.
const SYSTEMS_OF_REPLICAS: usize = 2;

/// Rows published but not yet deleted are published again after a relay's crash: at most one second of the load, which
/// is about 60 orders. Observed: 9.
const DUPLICATES_PER_VISIT: u64 = 240;

/// A member of a group gets its partitions within some seconds. Fifty undecodable records trip the reject gate.
const BETWEEN_POISON: Duration = Duration::from_secs(3);

/// A rebalance takes some seconds, and on a busy machine some more.
const BETWEEN_JOINS: Duration = Duration::from_secs(15);

/// Neither unanswered payments nor events in the retry store may take longer than the rest of the test.
const SHORT_RETRY: [(Service, &str, &str); 4] = [
    (Service::Orders, "RETRY_STORE_DELAY", "1s"),
    (Service::Processing, "RETRY_STORE_DELAY", "1s"),
    (Service::Processing, "PAYMENT_TIMEOUT", "1s"),
    (Service::Processing, "PAYMENT_ATTEMPTS", "2"),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_wherever_a_process_dies_or_a_step_fails() -> Result<()> {
    let seed = seed()?;
    println!("CRASH_SEED={seed}");
    let (cases, systems) = plan(seed)?;
    let wanted = cases.len();
    let queue = Mutex::new(cases);

    let walks = (0..systems).map(|_| walk(&queue));
    let visits: usize = try_join_all(walks).await?.into_iter().sum();

    assert_eq!(visits, wanted);
    Ok(())
}

/// The remaining cases, the next one last, and the number of systems that work on them.
fn plan(seed: u64) -> Result<(Vec<Case>, usize)> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut cases = cases::all(|most| random.random_range(1..=most));
    let mut systems = SYSTEMS;
    if engines()?.replicas > 1 {
        cases = cases::between_replicas(cases);
        systems = SYSTEMS_OF_REPLICAS;
    }
    let mut cases = chosen(cases);
    cases.shuffle(&mut random);
    cases.sort_by_key(|case| case.takes_a_minute());
    Ok((cases, systems))
}

fn seed() -> Result<u64> {
    match env::var("CRASH_SEED") {
        Ok(seed) => seed.parse().context("CRASH_SEED is no number"),
        Err(_) => Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()),
    }
}

fn chosen(mut cases: Vec<Case>) -> Vec<Case> {
    if let Ok(wanted) = env::var("CRASH_ONLY") {
        let is_wanted = |case: &str| wanted.split(',').any(|text| case.contains(text));
        cases.retain(|case| is_wanted(&case.to_string()));
    }
    cases
}

/// The result of a case.
#[derive(Clone, Debug)]
struct Visit {
    case: Case,
    orders: usize,
    recovered_in: Duration,
}

impl fmt::Display for Visit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (case, orders, seconds) = (self.case, self.orders, self.recovered_in.as_secs_f64());
        write!(
            formatter,
            "{case:<60} {orders:>5} orders, recovered in {seconds:>4.1} s"
        )
    }
}

/// Visits cases, one after the other, on a system of its own, until there are no more, and prints each result. Returns
/// the number of cases.
async fn walk(queue: &Mutex<Vec<Case>>) -> Result<usize> {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut visits = 0;
    let system = System::start_with(&SHORT_RETRY).await?;
    // Both services have joined their groups. The embedded broker never removes a member that stops while joining.
    let order = system.place_order(&Draft::of("LAMP", 1)).await?;
    system.watch_until_final(&order.order_id).await?;
    while let Some(case) = next() {
        let visit = visit(&system, case).await;
        println!("{}", visit.with_context(|| format!("at {case}"))?);
        visits += 1;
    }
    let limits = Limits {
        wire_duplicates: Some(DUPLICATES_PER_VISIT * u64::try_from(visits)?),
        set_aside: Some(0),
        ..Limits::default()
    };
    println!("{}", system.finish_within(limits).await?);
    Ok(visits)
}

async fn visit(system: &System, case: Case) -> Result<Visit> {
    let process = system.stack().processes(case.service)[0];
    let plan = system.restart_with_plan(process, &case.plan()).await?;
    let provoked = async {
        let special = provoke(system, case, &plan, process).await?;
        system.until_reached(&plan).await?;
        Ok((special, Instant::now()))
    };
    let (mut orders, (special, reached_at)) = load::until_done(system, provoked).await?;
    orders.extend(special);

    is_back(system, case, &plan, process).await?;
    system.all_become_final(&orders).await?;
    set_aside::nothing_waits(system, case.service).await?;

    Ok(Visit {
        case,
        orders: orders.len(),
        recovered_in: reached_at.elapsed(),
    })
}

/// Triggers what the load alone does not. Returns the orders placed for that.
async fn provoke(
    system: &System,
    case: Case,
    plan: &CrashPlan,
    process: Process,
) -> Result<Vec<Order>> {
    match case.provocation(engines()?.replicas) {
        Provocation::Load => Ok(Vec::new()),
        Provocation::Poison => {
            poison(system, case, plan).await?;
            Ok(Vec::new())
        }
        Provocation::Release => {
            set_aside::store_and_release(system, case.service, case.occasion).await
        }
        // Under load: some events are processed, more are in flight.
        Provocation::Stop => {
            let order = system.place_order_retrying(&Draft::of("LAMP", 1)).await?;
            system.watch_until_final(&order.order_id).await?;
            stop(system, case, process).await?;
            Ok(vec![order])
        }
        Provocation::Join => {
            take_partitions_away(system, case, plan).await?;
            Ok(Vec::new())
        }
    }
}

/// Repeatedly: records that arrive before the process has its partitions are rejected by another replica.
async fn poison(system: &System, case: Case, plan: &CrashPlan) -> Result<()> {
    eventually("the poison has its effect", async || {
        set_aside::poison(system, case.service, case.occasion).await?;
        let reached = timeout(BETWEEN_POISON, system.until_reached(plan)).await;
        reached.ok().transpose()
    })
    .await
}

/// An interrupted step of a stop makes it unclean, as its exit code shows; an interrupted drain only causes events
/// to be redelivered.
async fn stop(system: &System, case: Case, process: Process) -> Result<()> {
    let ending = system.stack().stop_process(process).await;
    let ending = ending.context("it was not running")?;
    ensure!(!ending.forced, "{ending}");
    match case.action {
        Action::Abort => ensure!(ending.status.code().is_none(), "{ending}"),
        Action::Fail => ensure!(ending.is_clean() != case.fails_the_stop(), "{ending}"),
    }
    system.stack().launch(process).await?;
    Ok(())
}

/// Repeatedly: a replica that joins before this one has all partitions causes no revocation.
async fn take_partitions_away(system: &System, case: Case, plan: &CrashPlan) -> Result<()> {
    eventually("partitions are taken away", async || {
        leave_and_join(system, case.service).await?;
        let reached = timeout(BETWEEN_JOINS, system.until_reached(plan)).await;
        reached.ok().transpose()
    })
    .await
}

/// The other replica leaves, so that this one gets all partitions, and joins again, so that some are revoked.
async fn leave_and_join(system: &System, service: Service) -> Result<()> {
    let other = system.stack().processes(service)[1];
    let left = system.stack().stop_process(other).await;
    ensure!(
        left.is_some_and(|ending| ending.is_clean()),
        "{other} did not leave in order"
    );
    let order = system.place_order_retrying(&Draft::of("LAMP", 1)).await?;
    system.watch_until_final(&order.order_id).await?;
    system.stack().launch(other).await?;
    system.until_ready(other).await
}

async fn is_back(system: &System, case: Case, plan: &CrashPlan, process: Process) -> Result<()> {
    match case.provocation(engines()?.replicas) {
        Provocation::Stop => system.until_ready(process).await,
        _ => system.until_back(plan, case.action == Action::Abort).await,
    }
}
