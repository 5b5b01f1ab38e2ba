use proptest::prelude::*;

use super::*;
use crate::client::address::Addresses;
use service::config::FromSetting;

fn peer(port: u16) -> Peer {
    let addresses = Addresses::from_setting("http://service:1").unwrap();
    Peer {
        address: addresses.iter().next().unwrap().clone(),
        socket: SocketAddr::from(([127, 0, 0, 1], port)),
    }
}

fn pool(ports: &[u16]) -> Pool<u16> {
    let mut pool = Pool::new(0);
    let peers: Vec<_> = ports.iter().map(|port| peer(*port)).collect();
    pool.replace(&peers, |peer| peer.socket.port());
    pool
}

fn picks(pool: &mut Pool<u16>, count: usize, now: Instant) -> Vec<u16> {
    (0..count)
        .map(|_| pool.pick(now, None).unwrap().1)
        .collect()
}

fn fail(pool: &mut Pool<u16>, port: u16, now: Instant) -> Option<Change> {
    for _ in 1..FAILURES {
        assert_eq!(pool.report(&peer(port), AttemptVerdict::Failed, now), None);
    }
    pool.report(&peer(port), AttemptVerdict::Failed, now)
}

#[test]
fn calls_are_distributed_round_robin() {
    let mut pool = pool(&[1, 2, 3]);

    assert_eq!(picks(&mut pool, 6, Instant::now()), [1, 2, 3, 1, 2, 3]);
}

#[test]
fn consecutive_failures_eject_a_replica_but_never_the_last_one() {
    let (mut pool, now) = (pool(&[1, 2]), Instant::now());
    pool.report(&peer(1), AttemptVerdict::Failed, now);
    pool.report(&peer(1), AttemptVerdict::Answered, now);

    let change = fail(&mut pool, 1, now);

    assert!(matches!(change, Some(Change::Ejected(..))), "{change:?}");
    assert_eq!(picks(&mut pool, 3, now), [2, 2, 2]);
    assert_eq!(fail(&mut pool, 2, now), None);
    assert_eq!(pool.count(), (1, 1));
}

#[test]
fn an_ejected_replica_gets_one_probe_and_is_readmitted_if_it_answers() {
    let (mut pool, now) = (pool(&[1, 2]), Instant::now());
    fail(&mut pool, 1, now);
    let later = now + EJECTED_FOR.initial;

    let mut during = picks(&mut pool, 4, later);

    during.sort_unstable();
    assert_eq!(during, [1, 2, 2, 2]);
    let change = pool.report(&peer(1), AttemptVerdict::Answered, later);
    assert_eq!(change, Some(Change::Readmitted(peer(1))));
    let mut after = picks(&mut pool, 4, later);
    after.sort_unstable();
    assert_eq!(after, [1, 1, 2, 2]);
}

#[test]
fn an_abandoned_probe_allows_another() {
    let (mut pool, now) = (pool(&[1, 2]), Instant::now());
    fail(&mut pool, 1, now);
    let later = now + EJECTED_FOR.initial;
    picks(&mut pool, 2, later);

    pool.report(&peer(1), AttemptVerdict::Unknown, later);

    assert!(picks(&mut pool, 2, later).contains(&1));
}

#[test]
fn ejections_grow_up_to_a_cap_and_start_over_after_a_long_success() {
    let (mut pool, mut now) = (pool(&[1, 2]), Instant::now());
    let mut change = fail(&mut pool, 1, now);
    for bound in [1, 2, 4, 8, 16, 30, 30] {
        let Some(Change::Ejected(_, time)) = change else {
            panic!("{change:?}");
        };
        let bound = Duration::from_secs(bound);
        assert!((bound.mul_f64(*SHARES.start())..=bound).contains(&time));
        now += time;
        picks(&mut pool, 2, now);
        change = pool.report(&peer(1), AttemptVerdict::Failed, now);
    }

    now += EJECTED_FOR.cap;
    picks(&mut pool, 2, now);
    pool.report(&peer(1), AttemptVerdict::Answered, now);
    now += EJECTED_FOR.cap;
    let change = fail(&mut pool, 1, now);

    assert!(matches!(change, Some(Change::Ejected(_, time)) if time <= EJECTED_FOR.initial));
}

#[test]
fn a_retry_goes_to_another_replica_if_there_is_one() {
    let now = Instant::now();

    let elsewhere = pool(&[1, 2]).pick(now, Some(&peer(1))).unwrap().1;
    let nowhere_else = pool(&[1]).pick(now, Some(&peer(1))).unwrap().1;

    assert_eq!((elsewhere, nowhere_else), (2, 1));
}

#[test]
fn if_all_replicas_are_ejected_all_are_used() {
    let (mut pool, now) = (pool(&[1, 2, 3]), Instant::now());
    fail(&mut pool, 1, now);
    fail(&mut pool, 2, now);

    let changes = pool.replace(&[peer(1), peer(2)], |peer| peer.socket.port());

    assert_eq!(changes, [Change::Removed(peer(3))]);
    assert_eq!(pool.count(), (0, 2));
    let mut used = picks(&mut pool, 2, now);
    used.sort_unstable();
    assert_eq!(used, [1, 2]);
}

#[test]
fn a_known_replica_keeps_its_state_and_a_new_one_starts_fresh() {
    let (mut pool, now) = (pool(&[1, 2]), Instant::now());
    fail(&mut pool, 1, now);

    let changes = pool.replace(&[peer(1), peer(3)], |peer| peer.socket.port());

    assert_eq!(changes, [Change::Removed(peer(2)), Change::Added(peer(3))]);
    assert_eq!(picks(&mut pool, 2, now), [3, 3]);
}

proptest! {
    #[test]
    fn there_is_always_a_replica_to_call_and_one_in_use(
        reports in prop::collection::vec((1..4_u16, 0..3_u8, 0..500_u64), 0..200),
    ) {
        let (mut pool, mut now) = (pool(&[1, 2, 3]), Instant::now());
        for (port, verdict, millis) in reports {
            now += Duration::from_millis(millis);
            prop_assert!(pool.pick(now, None).is_some());
            let verdict = [AttemptVerdict::Answered, AttemptVerdict::Failed, AttemptVerdict::Unknown][usize::from(verdict)];
            pool.report(&peer(port), verdict, now);
            prop_assert!(pool.count().0 >= 1);
        }
    }
}
