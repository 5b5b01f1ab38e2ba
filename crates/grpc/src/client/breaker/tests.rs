use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;

const RULES: BreakerRules = BreakerRules {
    least_calls: 4,
    failure_share: 0.5,
    slow_call: Duration::from_millis(100),
    slow_share: 0.75,
    open_for: Backoff {
        initial: Duration::from_secs(1),
        cap: Duration::from_secs(4),
    },
    probes: 2,
};

const GOOD: Event = ended(false, false);
const FAILED: Event = ended(true, false);
const SLOW: Event = ended(false, true);

const fn ended(has_failed: bool, is_slow: bool) -> Event {
    Event::Ended(End {
        has_failed,
        is_slow,
    })
}

/// A circuit and its clock.
struct Bench {
    circuit: Circuit,
    now: Instant,
}

impl Bench {
    fn closed() -> Self {
        let now = Instant::now();
        let circuit = Circuit::closed(now);
        Self { circuit, now }
    }

    fn open() -> Self {
        let mut bench = Self::closed();
        bench.all([FAILED; 4]);
        bench
    }

    fn half_open() -> Self {
        let mut bench = Self::open();
        bench.wait_millis(1_000);
        bench.one(Event::Asked);
        bench
    }

    fn one(&mut self, event: Event) -> Reply {
        self.circuit.step(event, self.now, &RULES)
    }

    fn all(&mut self, events: impl IntoIterator<Item = Event>) -> Kind {
        for event in events {
            self.one(event);
        }
        self.circuit.kind()
    }

    fn wait_millis(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }
}

#[test]
fn half_of_the_calls_must_fail_or_three_quarters_be_slow_to_open_it() {
    let cases = [
        (vec![FAILED, FAILED, FAILED], Kind::Closed),
        (vec![FAILED, GOOD, GOOD, FAILED], Kind::Open),
        (vec![FAILED, GOOD, GOOD, GOOD], Kind::Closed),
        (vec![SLOW, SLOW, GOOD, SLOW], Kind::Open),
        (vec![SLOW, SLOW, GOOD, GOOD], Kind::Closed),
        (vec![Event::GivenUp; 20], Kind::Closed),
    ];
    for (events, expected) in cases {
        assert_eq!(Bench::closed().all(events.clone()), expected, "{events:?}");
    }
}

#[test]
fn what_happened_longer_than_ten_seconds_ago_is_forgotten() {
    let mut bench = Bench::closed();
    bench.all([FAILED; 3]);

    bench.wait_millis(10_000);

    assert_eq!(bench.all([FAILED; 3]), Kind::Closed);
    bench.wait_millis(9_000);
    assert_eq!(bench.all([FAILED]), Kind::Open);
}

#[test]
fn open_it_refuses_until_its_time_is_over_and_then_admits_its_probes() {
    let mut bench = Bench::open();

    bench.wait_millis(999);
    assert_eq!(bench.one(Event::Asked), Reply::Refused);
    bench.wait_millis(1);

    let replies = [(); 3].map(|()| bench.one(Event::Asked));
    assert_eq!(replies, [Reply::Admitted, Reply::Admitted, Reply::Refused]);
}

#[test]
fn all_probes_must_succeed_to_close_it() {
    let mut bench = Bench::half_open();

    assert_eq!(bench.all([GOOD]), Kind::HalfOpen);
    assert_eq!(bench.all([Event::Asked, GOOD]), Kind::Closed);
}

#[test]
fn a_failed_or_slow_probe_opens_it_for_longer_up_to_a_cap() {
    let mut bench = Bench::half_open();
    let mut failed = [FAILED, SLOW].into_iter().cycle();
    for seconds in [2, 4, 4] {
        assert_eq!(bench.all(failed.next()), Kind::Open);

        bench.wait_millis(seconds * 1_000 - 1);
        assert_eq!(bench.one(Event::Asked), Reply::Refused);
        bench.wait_millis(1);
        assert_eq!(bench.one(Event::Asked), Reply::Admitted);
    }
}

#[test]
fn a_probe_that_is_given_up_makes_room_for_another() {
    let mut bench = Bench::half_open();
    bench.one(Event::Asked);

    bench.one(Event::GivenUp);

    assert_eq!(bench.one(Event::Asked), Reply::Admitted);
    assert_eq!(bench.one(Event::Asked), Reply::Refused);
}

fn event() -> impl Strategy<Value = (Event, u64)> {
    let event = prop_oneof![
        4 => Just(Event::Asked),
        1 => Just(GOOD),
        2 => Just(FAILED),
        1 => Just(SLOW),
        1 => Just(Event::GivenUp),
    ];
    (event, 0..800_u64)
}

proptest! {
    /// Whatever happens in whichever order: the probes are bounded, and time alone brings it back to admitting.
    #[test]
    fn it_never_has_too_many_probes_and_never_stays_shut(events in prop::collection::vec(event(), 0..200)) {
        let mut bench = Bench::closed();
        for (event, millis) in events {
            bench.wait_millis(millis);
            let before = bench.circuit.kind();
            let reply = bench.one(event);
            let after = bench.circuit.kind();
            prop_assert!(before != Kind::Open || after != Kind::Closed, "closed without a probe");
            prop_assert!(before != Kind::Closed || after != Kind::HalfOpen);
            prop_assert!(before != Kind::Closed || reply != Reply::Refused);
            if let Circuit::HalfOpen(probes) = bench.circuit {
                prop_assert!(probes.working + probes.succeeded <= RULES.probes);
            }
        }
        bench.wait_millis(4_000);
        bench.all([Event::GivenUp; 2]);
        prop_assert_eq!(bench.one(Event::Asked), Reply::Admitted);
    }
}

/// Callers in whichever order the threads are made to take: some succeed, some give up.
fn callers_on_a_breaker_that_may_close() {
    let breaker = Arc::new(Breaker::new("dependency", RULES));
    let begun = Instant::now();
    for _ in 0..4 {
        breaker.ask_at(begun).unwrap().end_at(true, begun);
    }
    let later = begun + Duration::from_secs(1);
    let probing = Arc::new(AtomicU32::new(0));

    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let (breaker, probing) = (Arc::clone(&breaker), Arc::clone(&probing));
            shuttle::thread::spawn(move || call(&breaker, &probing, later, caller % 2 == 0))
        })
        .collect();
    callers
        .into_iter()
        .for_each(|caller| caller.join().unwrap());

    let (kind, counts) = breaker.look();
    assert_eq!(counts.transitions[Kind::Open as usize], 1);
    assert_eq!(counts.transitions[Kind::HalfOpen as usize], 1);
    let closed = u64::from(kind == Kind::Closed);
    assert_eq!(counts.transitions[Kind::Closed as usize], closed);
    let is_admitted = breaker.ask_at(later).is_some();
    assert!(is_admitted, "stuck: {kind:?}");
}

fn call(breaker: &Arc<Breaker>, probing: &AtomicU32, now: Instant, gives_up: bool) {
    let Some(mut permit) = breaker.ask_at(now) else {
        return;
    };
    if breaker.look().0 == Kind::HalfOpen {
        let others = probing.fetch_add(1, Ordering::SeqCst);
        shuttle::thread::yield_now();
        probing.fetch_sub(1, Ordering::SeqCst);
        assert!(others < RULES.probes, "too many probes at once");
    }
    if gives_up {
        // Young, whatever the real clock says of the time that this run has made up.
        permit.begun = Instant::now();
        drop(permit);
    } else {
        permit.end_at(false, now);
    }
}

#[test]
fn concurrent_callers_never_exceed_the_probes_nor_announce_twice_nor_get_it_stuck() {
    shuttle::check_random(callers_on_a_breaker_that_may_close, 3_000);
    shuttle::check_pct(callers_on_a_breaker_that_may_close, 3_000, 3);
}

#[test]
fn an_answer_from_before_it_opened_decides_nothing_afterwards() {
    shuttle::check_random(
        || {
            let breaker = Arc::new(Breaker::new("dependency", RULES));
            let now = Instant::now();
            let early = breaker.ask_at(now).unwrap();
            for _ in 0..4 {
                breaker.ask_at(now).unwrap().end_at(true, now);
            }
            let later = now + Duration::from_secs(1);
            let probe = breaker.ask_at(later).unwrap();

            early.end_at(true, later);

            assert_eq!(breaker.look().0, Kind::HalfOpen);
            probe.end_at(false, later);
        },
        10,
    );
}
