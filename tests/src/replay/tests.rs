//! Whole replays against a service that refuses, fails, loses answers and breaks streams.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use proto::orders::v1::{Order, OrderStatus, PlaceOrderRequest};
use tokio::time::sleep;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

use super::*;
use crate::client::fake::{Fake, entry};
use crate::orders::OrderBook;
use auditor::journal::{JournalLine, open};

const INVOICES: usize = 100;

/// One hundred invoices; every tenth has a price that is not a whole number of pence, every tenth after it is free.
fn book() -> Arc<OrderBook> {
    let header =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";
    let lines = (0..INVOICES).map(|n| match n % 10 {
        0 => format!("{n},85123A,HOLDER,1,,0.001,1,UK\n"),
        1 => format!("{n},85123A,HOLDER,1,,0.0,1,UK\n"),
        _ => format!("{n},85123A,HOLDER,1,,2.55,1,UK\n"),
    });
    let text = header.to_owned() + &lines.collect::<String>();
    Arc::new(OrderBook::read(text.as_bytes()).unwrap())
}

/// A service that loses every third answer to PlaceOrder after it stored the order, and breaks every first stream.
#[derive(Default)]
struct Shaky {
    orders: Mutex<HashMap<String, String>>,
    calls: AtomicU64,
    watched: Mutex<HashSet<String>>,
    cancelled: Mutex<HashSet<String>>,
}

impl Shaky {
    fn place(&self, request: &PlaceOrderRequest) -> Result<Order, Status> {
        let is_free = |line: &proto::orders::v1::OrderLine| {
            line.unit_price
                .as_ref()
                .is_some_and(|price| price.minor_units == 0)
        };
        if request.lines.iter().any(is_free) {
            let mut details = ErrorDetails::with_error_info("INVALID_REQUEST", "order-service", []);
            details
                .add_bad_request_violation("lines[0].unit_price.minor_units", "must be positive");
            let code = Code::InvalidArgument;
            return Err(Status::with_error_details(code, "1 invalid field", details));
        }
        let mut orders = self.orders.lock().unwrap();
        let order_id = orders
            .entry(request.request_id.clone())
            .or_insert_with(|| Uuid::now_v7().to_string())
            .clone();
        let call = self
            .calls
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if call.is_multiple_of(3) {
            return Err(Status::unavailable("the answer is lost"));
        }
        Ok(Order {
            order_id,
            ..Order::default()
        })
    }

    fn watch(
        &self,
        order_id: &str,
        after: i64,
    ) -> Vec<Result<proto::orders::v1::OrderHistoryEntry, Status>> {
        let is_first = self.watched.lock().unwrap().insert(order_id.to_owned());
        let last = if self.cancelled.lock().unwrap().contains(order_id) {
            entry(2, "OrderCancelled", OrderStatus::Cancelled)
        } else {
            entry(2, "OrderFulfilled", OrderStatus::Fulfilled)
        };
        let history = [entry(1, "OrderPlaced", OrderStatus::Accepted), last];
        let mut entries: Vec<_> = history
            .into_iter()
            .filter(|entry| entry.version > after)
            .map(Ok)
            .collect();
        if is_first {
            entries.truncate(1);
            entries.push(Err(Status::unavailable("shutting down")));
        }
        entries
    }

    async fn serve(self: &Arc<Self>) -> String {
        let (place, cancel, watch) = (self.clone(), self.clone(), self.clone());
        let fake = Fake {
            place: Box::new(move |request| place.place(&request)),
            cancel: Box::new(move |request| {
                cancel.cancelled.lock().unwrap().insert(request.order_id);
                Ok(Order::default())
            }),
            watch: Box::new(move |request| watch.watch(&request.order_id, request.after_version)),
            ..Fake::default()
        };
        fake.serve().await
    }
}

fn plan(address: String, folder: &tempfile::TempDir) -> ReplayPlan {
    ReplayPlan {
        addresses: vec![address],
        orders: book(),
        count: INVOICES,
        rate: None,
        concurrency: 8,
        journal: folder.path().join("journal.jsonl"),
        wait_limits: WaitLimits {
            confirmation: Duration::from_secs(20),
            outcome: Duration::from_secs(20),
        },
        trouble: Trouble::default(),
    }
}

async fn replay(plan: ReplayPlan) -> Summary {
    let tally = Arc::new(Tally::new().unwrap());
    run(plan, tally, CancellationToken::new()).await.unwrap()
}

#[tokio::test]
async fn every_order_is_answered_and_every_accepted_order_becomes_final() {
    let folder = tempfile::tempdir().unwrap();
    let service = Arc::new(Shaky::default());
    let plan = plan(service.serve().await, &folder);
    let journal = plan.journal.clone();

    let summary = replay(plan).await;

    let counts = &summary.counts;
    assert_eq!((counts.submitted, counts.accepted), (100, 80));
    assert_eq!(
        counts
            .refused
            .iter()
            .map(|(reason, n)| (reason.as_str(), *n))
            .collect::<Vec<_>>(),
        [
            ("client: PRICE_INEXACT lines[].unit_price.minor_units", 10),
            ("server: INVALID_REQUEST lines[].unit_price.minor_units", 10),
        ]
    );
    // Every 40th of the 80 accepted orders is cancelled.
    assert_eq!((counts.fulfilled, counts.cancelled), (78, 2));
    assert_eq!(summary.problems.sentences(), Vec::<String>::new());
    let mut lines = HashMap::new();
    let mut journal = open(&journal).unwrap();
    while let Some((_, line)) = journal.next_line().unwrap() {
        *lines.entry(kind(&line)).or_insert(0) += 1;
    }
    assert_eq!(lines["ok"], 80 + 2, "two cancellations");
    assert_eq!(lines["refused"], 10);
    assert_eq!(lines["read"], 80);
    assert_eq!(
        lines["invoked"],
        lines["ok"] + lines["refused"] + lines["unknown"],
        "every attempt, also those whose answers were lost"
    );
}

fn kind(line: &JournalLine) -> &'static str {
    match line {
        JournalLine::Invoked(_) => "invoked",
        JournalLine::Ok(_) => "ok",
        JournalLine::Refused(_) => "refused",
        JournalLine::Unknown(_) => "unknown",
        JournalLine::Read(_) => "read",
    }
}

#[tokio::test]
async fn a_lost_answer_is_retried_with_the_same_request_id() {
    let folder = tempfile::tempdir().unwrap();
    let service = Arc::new(Shaky::default());

    replay(plan(service.serve().await, &folder)).await;

    assert!(service.calls.load(std::sync::atomic::Ordering::Relaxed) > 80);
    assert_eq!(service.orders.lock().unwrap().len(), 80);
}

#[tokio::test]
async fn beyond_the_end_of_the_file_the_replay_repeats_it() {
    let folder = tempfile::tempdir().unwrap();
    let service = Arc::new(Shaky::default());
    let plan = ReplayPlan {
        count: 2 * INVOICES,
        ..plan(service.serve().await, &folder)
    };

    let summary = replay(plan).await;

    assert_eq!(summary.counts.accepted, 160);
    assert_eq!(service.orders.lock().unwrap().len(), 160);
}

#[tokio::test]
async fn an_unreachable_service_ends_the_replay_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let plan = ReplayPlan {
        count: 8,
        wait_limits: WaitLimits {
            confirmation: Duration::from_millis(300),
            outcome: Duration::from_millis(300),
        },
        ..plan("http://127.0.0.1:1".into(), &folder)
    };

    let summary = replay(plan).await;

    let counts = &summary.counts;
    assert_eq!(
        (counts.submitted, counts.accepted, counts.unanswered),
        (8, 0, 7)
    );
    let problems = summary.problems.sentences();
    assert!(
        problems[0].contains("got no answer: UNAVAILABLE"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn an_order_that_does_not_become_final_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake {
        place: Box::new(|_| {
            Ok(Order {
                order_id: "0197".into(),
                ..Order::default()
            })
        }),
        watch: Box::new(|request| match request.after_version {
            0 => vec![
                Ok(entry(1, "OrderPlaced", OrderStatus::Accepted)),
                Err(Status::unavailable("down")),
            ],
            _ => vec![Err(Status::unavailable("down"))],
        }),
        ..Fake::default()
    };
    let plan = ReplayPlan {
        count: 2,
        wait_limits: WaitLimits {
            confirmation: Duration::from_secs(5),
            outcome: Duration::from_millis(300),
        },
        ..plan(fake.serve().await, &folder)
    };

    let summary = replay(plan).await;

    assert_eq!(
        summary.problems.sentences(),
        ["order 0197 (invoice 1): it was not final in time: ACCEPTED at version 1"]
    );
}

#[tokio::test]
async fn a_rate_spreads_the_orders_over_time() {
    let folder = tempfile::tempdir().unwrap();
    let service = Arc::new(Shaky::default());
    let plan = ReplayPlan {
        count: 50,
        rate: Some(100.0),
        ..plan(service.serve().await, &folder)
    };
    let start = std::time::Instant::now();

    replay(plan).await;

    assert!(start.elapsed() >= Duration::from_millis(490));
}

#[tokio::test]
async fn a_stop_ends_the_replay_and_keeps_the_counts() {
    let folder = tempfile::tempdir().unwrap();
    let service = Arc::new(Shaky::default());
    let plan = ReplayPlan {
        count: 1_000_000,
        rate: Some(50.0),
        ..plan(service.serve().await, &folder)
    };
    let stop = CancellationToken::new();
    let tally = Arc::new(Tally::new().unwrap());
    let running = tokio::spawn(run(plan, tally.clone(), stop.clone()));
    while tally.counts().accepted == 0 {
        sleep(Duration::from_millis(5)).await;
    }

    stop.cancel();
    let summary = running.await.unwrap().unwrap();

    let counts = summary.counts;
    assert!(counts.accepted > 0 && counts.submitted < 1_000_000);
    assert_eq!(counts.ended(), counts.accepted);
}
