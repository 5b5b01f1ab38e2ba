use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use service::backoff::Backoff;

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

const GOOD: CircuitEvent = ended(false, false);
const FAILED: CircuitEvent = ended(true, false);
const SLOW: CircuitEvent = ended(false, true);

const fn ended(has_failed: bool, is_slow: bool) -> CircuitEvent {
    CircuitEvent::Ended(CallOutcome {
        has_failed,
        is_slow,
    })
}

/// A circuit and its clock.
struct TestCircuit {
    circuit: Circuit,
    now: Instant,
}

impl TestCircuit {
    fn closed() -> Self {
        let now = Instant::now();
        let circuit = Circuit::closed(now);
        Self { circuit, now }
    }

    fn open() -> Self {
        let mut circuit = Self::closed();
        circuit.all([FAILED; 4]);
        circuit
    }

    fn half_open() -> Self {
        let mut circuit = Self::open();
        circuit.wait_millis(1_000);
        circuit.one(CircuitEvent::Requested);
        circuit
    }

    fn one(&mut self, event: CircuitEvent) -> CircuitReply {
        self.circuit.step(event, self.now, &RULES)
    }

    fn all(&mut self, events: impl IntoIterator<Item = CircuitEvent>) -> CircuitState {
        for event in events {
            self.one(event);
        }
        self.circuit.state()
    }

    fn wait_millis(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }
}

#[test]
fn it_opens_when_half_of_the_calls_fail_or_three_quarters_are_slow() {
    let cases = [
        (vec![FAILED, FAILED, FAILED], CircuitState::Closed),
        (vec![FAILED, GOOD, GOOD, FAILED], CircuitState::Open),
        (vec![FAILED, GOOD, GOOD, GOOD], CircuitState::Closed),
        (vec![SLOW, SLOW, GOOD, SLOW], CircuitState::Open),
        (vec![SLOW, SLOW, GOOD, GOOD], CircuitState::Closed),
        (vec![CircuitEvent::Abandoned; 20], CircuitState::Closed),
    ];
    for (events, expected) in cases {
        assert_eq!(
            TestCircuit::closed().all(events.clone()),
            expected,
            "{events:?}"
        );
    }
}

#[test]
fn calls_older_than_ten_seconds_do_not_count() {
    let mut circuit = TestCircuit::closed();
    circuit.all([FAILED; 3]);

    circuit.wait_millis(10_000);

    assert_eq!(circuit.all([FAILED; 3]), CircuitState::Closed);
    circuit.wait_millis(9_000);
    assert_eq!(circuit.all([FAILED]), CircuitState::Open);
}

#[test]
fn open_it_rejects_calls_until_its_time_is_over_and_then_admits_probes() {
    let mut circuit = TestCircuit::open();

    circuit.wait_millis(999);
    assert_eq!(circuit.one(CircuitEvent::Requested), CircuitReply::Rejected);
    circuit.wait_millis(1);

    let replies = [(); 3].map(|()| circuit.one(CircuitEvent::Requested));
    assert_eq!(
        replies,
        [
            CircuitReply::Admitted,
            CircuitReply::Admitted,
            CircuitReply::Rejected
        ]
    );
}

#[test]
fn all_probes_must_succeed_to_close_it() {
    let mut circuit = TestCircuit::half_open();

    assert_eq!(circuit.all([GOOD]), CircuitState::HalfOpen);
    assert_eq!(
        circuit.all([CircuitEvent::Requested, GOOD]),
        CircuitState::Closed
    );
}

#[test]
fn a_failed_or_slow_probe_opens_it_for_longer_up_to_a_cap() {
    let mut circuit = TestCircuit::half_open();
    let mut failed = [FAILED, SLOW].into_iter().cycle();
    for seconds in [2, 4, 4] {
        assert_eq!(circuit.all(failed.next()), CircuitState::Open);

        circuit.wait_millis(seconds * 1_000 - 1);
        assert_eq!(circuit.one(CircuitEvent::Requested), CircuitReply::Rejected);
        circuit.wait_millis(1);
        assert_eq!(circuit.one(CircuitEvent::Requested), CircuitReply::Admitted);
    }
}

#[test]
fn an_abandoned_probe_allows_another() {
    let mut circuit = TestCircuit::half_open();
    circuit.one(CircuitEvent::Requested);

    circuit.one(CircuitEvent::Abandoned);

    assert_eq!(circuit.one(CircuitEvent::Requested), CircuitReply::Admitted);
    assert_eq!(circuit.one(CircuitEvent::Requested), CircuitReply::Rejected);
}

fn event() -> impl Strategy<Value = (CircuitEvent, u64)> {
    let event = prop_oneof![
        4 => Just(CircuitEvent::Requested),
        1 => Just(GOOD),
        2 => Just(FAILED),
        1 => Just(SLOW),
        1 => Just(CircuitEvent::Abandoned),
    ];
    (event, 0..800_u64)
}

proptest! {
    /// In any order of events the probes are bounded, and time alone leads back to admitting calls.
    #[test]
    fn probes_are_bounded_and_it_never_stays_open(events in prop::collection::vec(event(), 0..200)) {
        let mut circuit = TestCircuit::closed();
        for (event, millis) in events {
            circuit.wait_millis(millis);
            let before = circuit.circuit.state();
            let reply = circuit.one(event);
            let after = circuit.circuit.state();
            prop_assert!(before != CircuitState::Open || after != CircuitState::Closed, "closed without a probe");
            prop_assert!(before != CircuitState::Closed || after != CircuitState::HalfOpen);
            prop_assert!(before != CircuitState::Closed || reply != CircuitReply::Rejected);
            if let Circuit::HalfOpen(probes) = circuit.circuit {
                prop_assert!(probes.in_flight + probes.succeeded <= RULES.probes);
            }
        }
        circuit.wait_millis(4_000);
        circuit.all([CircuitEvent::Abandoned; 2]);
        prop_assert_eq!(circuit.one(CircuitEvent::Requested), CircuitReply::Admitted);
    }
}

/// Callers in the order that shuttle schedules: some succeed, some abandon their call.
fn callers_on_a_breaker_that_may_close() {
    let breaker = Arc::new(CircuitBreaker::new("dependency", RULES));
    let begun = Instant::now();
    for _ in 0..4 {
        breaker.try_acquire_at(begun).unwrap().end_at(true, begun);
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

    let (state, counts) = breaker.snapshot();
    assert_eq!(counts.transitions[CircuitState::Open as usize], 1);
    assert_eq!(counts.transitions[CircuitState::HalfOpen as usize], 1);
    let closed = u64::from(state == CircuitState::Closed);
    assert_eq!(counts.transitions[CircuitState::Closed as usize], closed);
    let is_admitted = breaker.try_acquire_at(later).is_some();
    assert!(is_admitted, "stuck: {state:?}");
}

fn call(breaker: &Arc<CircuitBreaker>, probing: &AtomicU32, now: Instant, gives_up: bool) {
    let Some(mut permit) = breaker.try_acquire_at(now) else {
        return;
    };
    if breaker.snapshot().0 == CircuitState::HalfOpen {
        let others = probing.fetch_add(1, Ordering::SeqCst);
        shuttle::thread::yield_now();
        probing.fetch_sub(1, Ordering::SeqCst);
        assert!(others < RULES.probes, "too many probes at once");
    }
    if gives_up {
        // The call is young, whatever the real clock says.
        permit.begun = Instant::now();
        drop(permit);
    } else {
        permit.end_at(false, now);
    }
}

#[test]
fn concurrent_callers_never_exceed_the_probes_nor_log_twice_nor_get_it_stuck() {
    shuttle::check_random(callers_on_a_breaker_that_may_close, 3_000);
    shuttle::check_pct(callers_on_a_breaker_that_may_close, 3_000, 3);
}

#[test]
fn a_call_from_before_it_opened_does_not_count_afterwards() {
    shuttle::check_random(
        || {
            let breaker = Arc::new(CircuitBreaker::new("dependency", RULES));
            let now = Instant::now();
            let early = breaker.try_acquire_at(now).unwrap();
            for _ in 0..4 {
                breaker.try_acquire_at(now).unwrap().end_at(true, now);
            }
            let later = now + Duration::from_secs(1);
            let probe = breaker.try_acquire_at(later).unwrap();

            early.end_at(true, later);

            assert_eq!(breaker.snapshot().0, CircuitState::HalfOpen);
            probe.end_at(false, later);
        },
        10,
    );
}
