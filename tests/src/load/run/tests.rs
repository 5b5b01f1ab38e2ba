//! Runs against a fake order-service: what is measured, and what ends a run early.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use proto::orders::v1::{ListOrdersResponse, OrderStatus, PlaceOrderRequest};
use tonic::Request;

use super::*;
use crate::client::connections::Connections;
use crate::client::fake::{Fake, entry};
use crate::load::baskets::Baskets;
use crate::load::known_orders::KnownOrders;
use crate::load::mix::Operation;
use crate::load::schedule::Schedule;
use crate::load::target::TargetArguments;
use crate::open_loop::Arrivals;
use crate::replay::journal::Journal;

/// 100 calls per second for half a second, without a warm-up, placements only.
fn plan() -> LoadPlan {
    LoadPlan {
        pace: LoadPace::Open {
            schedule: Schedule::constant(100.0),
            arrivals: Arrivals::Constant,
        },
        warm_up: Duration::ZERO,
        length: Duration::from_millis(500),
        count: None,
        in_flight: 100,
        queue: 10_000,
        mix: "place=1".parse().unwrap(),
        watch_share: 0.0,
        sampling: 1.0,
        patience: None,
    }
}

/// A plan for longer than any test may take.
fn endless() -> LoadPlan {
    LoadPlan {
        length: Duration::from_secs(3_600),
        ..plan()
    }
}

/// Confirms every order.
fn confirming() -> Fake {
    Fake {
        place: Box::new(|request| Ok(confirmed(&request))),
        ..Fake::default()
    }
}

fn confirmed(request: &PlaceOrderRequest) -> Order {
    Order {
        order_id: request.request_id.clone(),
        customer_id: request.customer_id.clone(),
        status: OrderStatus::Accepted.into(),
        version: 1,
        ..Order::default()
    }
}

async fn run_at(address: &str, plan: LoadPlan, journal: &Path) -> Arc<LoadRun> {
    let target = TargetArguments::plain(vec![address.to_owned()])
        .connect()
        .await
        .unwrap();
    let journal = Journal::create(journal).unwrap();
    let limit = Duration::from_secs(10);
    let watchers = Watchers::new(&target.endpoints, None, journal.clone(), limit).unwrap();
    let caller = Caller {
        connections: Connections::among(&target.endpoints, plan.in_flight).unwrap(),
        token: None,
        deadline: Duration::from_secs(5),
        journal,
        baskets: Baskets::open(None, None).unwrap(),
        known: KnownOrders::default(),
    };
    LoadRun::new(plan, Arc::new(caller), watchers)
}

async fn measured(fake: Fake, plan: LoadPlan) -> LoadFigures {
    let run = run_at(&fake.serve().await, plan, Path::new("/dev/null")).await;
    let (figures, end) = run.measure(&CancellationToken::new()).await.unwrap();
    assert_eq!(end, RunEnd::Completed);
    figures
}

async fn until(is_so: impl Fn() -> bool) {
    let come = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let soon = Duration::from_secs(20);
    tokio::time::timeout(soon, come).await.unwrap();
}

mod early_end;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_of_the_server_shows_at_p99_and_the_naive_figure_hides_it() {
    let stall = Duration::from_millis(200);
    // While one call holds it, no other is answered.
    let server = Mutex::new(0_u32);
    let fake = Fake {
        place: Box::new(move |request| {
            let mut calls = server.lock().unwrap();
            *calls += 1;
            if *calls == 200 {
                thread::sleep(stall);
            }
            Ok(confirmed(&request))
        }),
        ..Fake::default()
    };
    let four_at_once = LoadPlan {
        pace: LoadPace::Open {
            schedule: Schedule::constant(500.0),
            arrivals: Arrivals::Constant,
        },
        length: Duration::from_secs(2),
        // As a client with a small connection pool.
        in_flight: 4,
        ..plan()
    };

    let figures = measured(fake, four_at_once).await;

    let latencies = figures.latencies(Operation::Place);
    assert_eq!(latencies.count(), 1_000);
    // 100 calls were due in the stall, and waited for up to all of it; four of them were sent in it.
    assert!(
        latencies.corrected.quantile(0.99) > stall * 3 / 4,
        "{:?}",
        latencies.corrected.quantile(0.99)
    );
    assert!(
        latencies.uncorrected.quantile(0.99) < stall / 2,
        "{:?}",
        latencies.uncorrected.quantile(0.99)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_due_beyond_the_queue_are_dropped_and_count_as_errors() {
    let gate = Arc::new(AtomicBool::new(false));
    let open = gate.clone();
    let fake = Fake {
        place: Box::new(move |request| {
            while !open.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            Ok(confirmed(&request))
        }),
        ..Fake::default()
    };
    let plan = LoadPlan {
        in_flight: 1,
        queue: 9,
        ..plan()
    };
    let run = run_at(&fake.serve().await, plan, Path::new("/dev/null")).await;

    let measuring = tokio::spawn({
        let run = run.clone();
        async move { run.measure(&CancellationToken::new()).await }
    });
    until(|| run.recorder.look(|figures| figures.dropped == 40)).await;
    gate.store(true, Ordering::Relaxed);
    let (figures, _) = measuring.await.unwrap().unwrap();

    assert_eq!(figures.offered, 50);
    assert_eq!(figures.latencies(Operation::Place).count(), 10);
    assert_eq!(figures.error_share(), Some(0.8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_ends_the_run_and_the_warm_up_does_not_count() {
    let placed = Arc::new(AtomicU64::new(0));
    let counter = placed.clone();
    let fake = Fake {
        place: Box::new(move |request| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(confirmed(&request))
        }),
        ..Fake::default()
    };
    let plan = LoadPlan {
        warm_up: Duration::from_millis(100),
        count: Some(20),
        ..endless()
    };

    let figures = measured(fake, plan).await;

    assert_eq!(figures.offered, 20);
    assert_eq!(placed.load(Ordering::Relaxed), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_a_closed_loop_make_exactly_the_count() {
    let plan = LoadPlan {
        pace: LoadPace::Closed { callers: 3 },
        count: Some(100),
        ..endless()
    };

    let figures = measured(confirming(), plan).await;

    let latencies = figures.latencies(Operation::Place);
    assert_eq!((figures.offered, latencies.count()), (100, 100));
    assert!(
        figures.length < Duration::from_secs(60),
        "{:?}",
        figures.length
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_operations_are_on_orders_that_were_placed() {
    let placed = Arc::new(Mutex::new(Vec::new()));
    let known = placed.clone();
    let asked = move |order_id: &str| {
        known
            .lock()
            .unwrap()
            .iter()
            .any(|placed| placed == order_id)
    };
    let [get, watch, cancel] = [asked.clone(), asked.clone(), asked];
    let fake = Fake {
        place: Box::new(move |request| {
            placed.lock().unwrap().push(request.request_id.clone());
            Ok(confirmed(&request))
        }),
        get: Box::new(move |request| found(get(&request.order_id))),
        list: Box::new(|request| {
            assert!(!request.customer_id.is_empty());
            Ok(ListOrdersResponse::default())
        }),
        cancel: Box::new(move |request| found(cancel(&request.order_id))),
        watch: Box::new(move |request| {
            found(watch(&request.order_id)).unwrap();
            vec![Ok(entry(1, "OrderPlaced", OrderStatus::Accepted))]
        }),
    };
    let plan = LoadPlan {
        mix: "place=1,get=1,list=1,watch=1,cancel=1".parse().unwrap(),
        count: Some(200),
        ..LoadPlan {
            pace: LoadPace::Closed { callers: 1 },
            ..endless()
        }
    };

    let figures = measured(fake, plan).await;

    for operation in Operation::ALL {
        assert!(figures.latencies(operation).count() > 0, "{operation}");
    }
    assert_eq!(figures.error_share(), Some(0.0));
}

fn found(is_known: bool) -> Result<Order, Status> {
    match is_known {
        true => Ok(Order::default()),
        false => Err(Status::not_found("no such order")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watched_orders_have_an_outcome_and_the_time_to_it() {
    let fake = Fake {
        watch: Box::new(|_| {
            vec![
                Ok(entry(1, "OrderPlaced", OrderStatus::Accepted)),
                Ok(entry(2, "OrderRejected", OrderStatus::Rejected)),
            ]
        }),
        ..confirming()
    };
    let plan = LoadPlan {
        watch_share: 1.0,
        ..plan()
    };

    let figures = measured(fake, plan).await;

    let outcomes = &figures.order_outcomes;
    assert_eq!(outcomes.by_status["REJECTED (OUT_OF_STOCK)"], 50);
    assert_eq!((outcomes.times.count(), outcomes.unfinished), (50, 0));
    let confirm = figures.latencies(Operation::Place).corrected;
    assert!(outcomes.times.max() >= confirm.quantile(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_carries_its_trace_and_its_deadline() {
    let fake = confirming();
    let has_both = |request: Request<()>| {
        let metadata = request.metadata();
        match (metadata.get("traceparent"), metadata.get("grpc-timeout")) {
            (Some(trace), Some(_)) if trace.to_str().is_ok_and(|trace| trace.ends_with("-01")) => {
                Ok(request)
            }
            _ => Err(Status::invalid_argument("no trace or no deadline")),
        }
    };
    let run = run_at(
        &fake.serve_if(has_both).await,
        plan(),
        Path::new("/dev/null"),
    )
    .await;

    let (figures, _) = run.measure(&CancellationToken::new()).await.unwrap();

    assert_eq!(figures.latencies(Operation::Place).count(), 50);
    assert_eq!(figures.slowest.len(), 10);
}

/// Latencies and the journal must not jump with the wall clock, so nothing here reads it, except for the date of the
/// report.
#[test]
fn a_step_of_the_wall_clock_changes_no_figure() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut reading = Vec::new();
    for folder in [
        "load",
        "load/report",
        "load/report/html",
        "load/compare",
        "open_loop",
    ] {
        for file in std::fs::read_dir(source.join(folder)).unwrap() {
            let path = file.unwrap().path();
            let reads = path.is_file()
                && std::fs::read_to_string(&path)
                    .unwrap()
                    .contains("SystemTime::now");
            if reads {
                reading.push(path.file_name().unwrap().to_owned());
            }
        }
    }

    assert_eq!(reading, ["session.rs"]);
}
