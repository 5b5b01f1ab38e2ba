//! Exits, stops and restarts of a supervised process, with shell scripts in the place of a service.

use super::super::process::tests::launch;
use super::super::{DataDirectory, ProcessPhase};
use super::*;

struct Fixture {
    supervised: Supervised,
    _directory: DataDirectory,
    home: tempfile::TempDir,
}

fn supervise(script: &str) -> Fixture {
    let home = tempfile::tempdir().expect("a temporary directory");
    let directory = DataDirectory::open(home.path()).expect("a data directory");
    let launch = launch(&directory, "sh", &["-c", script]);
    Fixture {
        supervised: Supervised::new(launch, broadcast::Sender::new(16)),
        _directory: directory,
        home,
    }
}

async fn until(supervised: &Supervised, wanted: impl FnMut(&ProcessState) -> bool) -> ProcessState {
    let mut state = supervised.watch();
    let seen = timeout(Duration::from_secs(20), state.wait_for(wanted));
    *seen.await.expect("in time").expect("a supervisor")
}

#[tokio::test]
async fn a_killed_process_is_restarted_and_counted() {
    let fixture = supervise("exec sleep 60");
    fixture.supervised.start(Vec::new()).await.expect("a child");

    fixture.supervised.signal(Signal::SIGKILL).await;

    let state = until(&fixture.supervised, |state| state.restarts == 1).await;
    assert_eq!(state.phase, ProcessPhase::Running);
}

#[tokio::test]
async fn the_environment_of_one_start_is_gone_after_a_restart() {
    let fixture = supervise("echo \"plan: $PLAN\" >> said; exec sleep 60");
    let plan = vec![("PLAN".to_owned(), "die".to_owned())];
    fixture.supervised.start(plan).await.expect("a child");
    let said = || std::fs::read_to_string(fixture.home.path().join("said")).unwrap_or_default();
    while said() != "plan: die\n" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    fixture.supervised.signal(Signal::SIGKILL).await;

    while said() != "plan: die\nplan: \n" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_not_restarted() {
    let fixture = supervise("exit 78");
    fixture.supervised.start(Vec::new()).await.expect("a child");

    let state = until(&fixture.supervised, |state| {
        state.phase == ProcessPhase::GivenUp
    })
    .await;

    assert_eq!(state.restarts, 0);
}

#[tokio::test]
async fn a_process_in_a_crash_loop_is_given_up() {
    let fixture = supervise("exit 1");
    fixture.supervised.start(Vec::new()).await.expect("a child");

    let state = until(&fixture.supervised, |state| {
        state.phase == ProcessPhase::GivenUp
    })
    .await;

    assert_eq!(state.restarts, EARLY_DEATHS_TOLERATED);
}

#[tokio::test]
async fn a_process_that_ignores_the_stop_is_killed_and_stays_down() {
    let fixture = supervise("trap '' TERM; echo ready > ready; while :; do sleep 1; done");
    fixture.supervised.start(Vec::new()).await.expect("a child");
    let ready = fixture.home.path().join("ready");
    while !ready.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let ending = fixture.supervised.stop(Duration::from_millis(200)).await;

    let ending = ending.expect("it was running");
    assert!(ending.forced);
    assert!(!ending.is_clean());
    assert_eq!(fixture.supervised.state().phase, ProcessPhase::Down);
}

#[tokio::test]
async fn an_unclean_stop_shows_the_end_of_the_log() {
    let script =
        "trap 'echo the reason; exit 1' TERM; echo ready > ready; while :; do sleep 0.1; done";
    let fixture = supervise(script);
    fixture.supervised.start(Vec::new()).await.expect("a child");
    let ready = fixture.home.path().join("ready");
    while !ready.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let ending = fixture.supervised.stop(Duration::from_secs(20)).await;

    let said = ending.expect("it was running").to_string();
    assert!(said.ends_with("the reason"), "{said}");
}

#[tokio::test]
async fn a_stop_during_the_pause_prevents_the_restart() {
    let fixture = supervise("exit 1");
    fixture.supervised.start(Vec::new()).await.expect("a child");
    until(&fixture.supervised, |state| {
        state.phase == ProcessPhase::Restarting
    })
    .await;

    let ending = fixture.supervised.stop(Duration::from_secs(1)).await;

    assert!(ending.is_none());
    tokio::time::sleep(2 * FIRST_RESTART_PAUSE).await;
    assert_eq!(fixture.supervised.state().phase, ProcessPhase::Down);
}
