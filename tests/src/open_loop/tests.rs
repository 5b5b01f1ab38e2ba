use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tonic::Status;

use super::answer::OrderAvailability::NotChecked;
use super::*;

/// A tenth of a second of calls, one per tick.
fn load() -> Load {
    Load {
        arrivals: Arrivals::Constant,
        per_second: 1_000.0,
        warm_up: Duration::ZERO,
        length: Duration::from_millis(100),
        outstanding: 1_000,
    }
}

fn ended(due: Instant, sent: u64, answered: u64) -> Times {
    Times {
        due,
        sent: due + Duration::from_millis(sent),
        answered: due + Duration::from_millis(answered),
    }
}

#[test]
fn a_call_that_was_sent_late_counts_from_when_it_was_due() {
    let recorder = Recorder::new(load());

    recorder.ended(ended(Instant::now(), 900, 901), Ok(NotChecked));

    let measured = recorder.measured();
    let latencies = measured.all_accepted();
    assert!(latencies.corrected.max() >= Duration::from_millis(900));
    assert!(latencies.uncorrected.max() < Duration::from_millis(2));
    assert!(!measured.generator_kept_up());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_of_the_client_shows_only_in_the_corrected_latency() {
    let stall = Duration::from_millis(400);

    // The server accepts no call for a while, so that its client cannot send: the last call is due 100 ms after the
    // first, so each is late by most of the stall.
    let measured = run(load(), move |number| {
        if number == 0 {
            thread::sleep(stall);
        }
        async { Ok(NotChecked) }
    });

    let latencies = measured.await.unwrap().all_accepted();
    assert_eq!(latencies.count(), 100);
    assert!(latencies.corrected.quantile(0.5) >= stall / 2);
    assert!(latencies.uncorrected.quantile(0.5) < stall / 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_due_beyond_the_bound_are_counted_as_dropped() {
    let load = Load {
        outstanding: 10,
        ..load()
    };

    let measured = run(load, |_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(NotChecked)
    });

    let measured = measured.await.unwrap();
    assert_eq!(measured.offered, 100);
    assert_eq!(measured.dropped, 90);
    assert_eq!(measured.all_accepted().count(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warm_up_is_sent_and_not_counted() {
    let sent = Arc::new(AtomicU64::new(0));
    let load = Load {
        warm_up: Duration::from_millis(50),
        length: Duration::from_millis(50),
        ..load()
    };

    let counter = sent.clone();
    let measured = run(load, move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Ok(NotChecked) }
    });

    assert_eq!(measured.await.unwrap().offered, 50);
    assert_eq!(sent.load(Ordering::Relaxed), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_outcome_has_its_own_latencies_and_one_sample() {
    let measured = run(load(), |number| async move {
        match number % 4 {
            0 => Err(Status::unavailable(format!("connection {number} broke"))),
            _ => Ok(NotChecked),
        }
    });

    let measured = measured.await.unwrap();
    assert_eq!(measured.all_accepted().count(), 75);
    assert_eq!(measured.all_failed().count(), 25);
    assert_eq!(measured.all_refused().count(), 0);
    assert_eq!(
        measured.outcomes.samples.len(),
        1,
        "{:?}",
        measured.outcomes
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_run_sends_no_further_call() {
    let sent = Arc::new(AtomicU64::new(0));
    let load = Load {
        length: Duration::from_secs(3_600),
        ..load()
    };
    let counter = sent.clone();
    let running = tokio::spawn(run(load, move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Ok(NotChecked) }
    }));

    until(|| sent.load(Ordering::Relaxed) > 0).await;
    running.abort();

    // The generator holds the other reference until it ends.
    until(|| Arc::strong_count(&sent) == 1).await;
}

async fn until(is_so: impl Fn() -> bool) {
    let come = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let soon = Duration::from_secs(10);
    tokio::time::timeout(soon, come).await.unwrap();
}
