//! What ends a run before its time, and the report until then.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_dies_ends_the_run_with_the_figures_until_then() {
    let target = tokio::runtime::Runtime::new().unwrap();
    let address = target.spawn(confirming().serve()).await.unwrap();
    let plan = LoadPlan {
        patience: Some(Duration::from_millis(300)),
        ..endless()
    };
    let run = run_at(&address, plan, Path::new("/dev/null")).await;

    let measuring = tokio::spawn({
        let run = run.clone();
        async move { run.measure(&CancellationToken::new()).await }
    });
    until(|| {
        run.recorder
            .look(|figures| figures.latencies(Operation::Place).count() >= 10)
    })
    .await;
    target.shutdown_background();
    let (figures, end) = measuring.await.unwrap().unwrap();

    let RunEnd::TargetGone(why) = end else {
        panic!("{end:?}");
    };
    assert!(why.starts_with("no answer for 0."), "{why}");
    assert!(figures.latencies(Operation::Place).count() >= 10);
    assert!(figures.error_share().unwrap() > 0.0);
    assert!(
        figures.length < Duration::from_secs(60),
        "{:?}",
        figures.length
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_has_its_figures_until_then() {
    let run = run_at(
        &confirming().serve().await,
        endless(),
        Path::new("/dev/null"),
    )
    .await;
    let interrupt = CancellationToken::new();

    let measuring = tokio::spawn({
        let (run, interrupt) = (run.clone(), interrupt.clone());
        async move { run.measure(&interrupt).await }
    });
    until(|| {
        run.recorder
            .look(|figures| figures.latencies(Operation::Place).count() >= 10)
    })
    .await;
    interrupt.cancel();
    let (figures, end) = measuring.await.unwrap().unwrap();

    assert_eq!(end, RunEnd::Interrupted);
    let ended: u64 = figures
        .operations
        .values()
        .map(|outcomes| outcomes.count())
        .sum();
    assert_eq!(figures.offered, ended + figures.dropped);
    assert_eq!(figures.error_share(), Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_the_journal_ends_the_run_and_no_call_is_made_unwritten() {
    let placed = Arc::new(AtomicU64::new(0));
    let counter = placed.clone();
    let fake = Fake {
        place: Box::new(move |request| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(confirmed(&request))
        }),
        ..Fake::default()
    };
    let run = run_at(&fake.serve().await, endless(), Path::new("/dev/full")).await;

    let (figures, end) = run.measure(&CancellationToken::new()).await.unwrap();

    let RunEnd::JournalFailed(why) = end else {
        panic!("{end:?}");
    };
    assert!(why.contains("No space left on device"), "{why}");
    assert_eq!(placed.load(Ordering::Relaxed), 0);
    assert_eq!(figures.offered, 0);
}
