//! Quantiles, seconds, and arbitrary cells for the tests of what is made of them.

use proptest::prelude::*;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;

/// Any cell of this way.
pub(in super::super) fn any_cell(way: Way) -> impl Strategy<Value = Cell> {
    let counts = (1_u64..2_000, 0_u64..2_000, 0_u64..200, 0_u64..50);
    let times = proptest::collection::vec(proptest::option::of(0.5_f64..5_000.0), 4);
    let costs = (20.0_f64..400.0, proptest::option::of(0.1_f64..50.0));
    (counts, times, costs).prop_map(move |((yes, errors, undone, few), times, costs)| Cell {
        scenario: "calm",
        way,
        offered: yes + errors + few,
        yes,
        no: few,
        errors,
        errors_by_cause: BTreeMap::from([("UNAVAILABLE".to_owned(), errors)]),
        confirm_p50: times[0],
        confirm_p99: times[1],
        outcome_p50: times[2],
        outcome_p99: times[3],
        done: yes,
        undone_after_yes: undone.min(yes),
        lost: few % 3,
        done_after_error: errors.min(few),
        half_done: few % 2,
        doubled: few % 5,
        surplus_pieces: 0,
        attempts: 1.0,
        memory: costs.0,
        cpu: costs.1,
        lateness_p99: 1.0,
        seconds: vec![Second::default()],
    })
}

#[test]
fn a_quantile_is_a_measured_time() {
    let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();

    assert_eq!(quantile(&times, 0.5), Some(50.0));
    assert_eq!(quantile(&times, 0.99), Some(99.0));
    assert_eq!(quantile(&times[..1], 0.99), Some(1.0));
    assert_eq!(quantile(&[], 0.5), None);
}

#[test]
fn answers_belong_to_the_second_in_which_their_order_was_due() {
    let start = Instant::now();
    let course = |due, told| Course {
        id: Uuid::nil(),
        pieces: 1,
        due: start + Duration::from_millis(due),
        sent: Duration::ZERO,
        attempts: 1,
        told: Some((told, Duration::from_millis(due))),
        outcome: None,
    };
    let error = || Told::Error("UNAVAILABLE".to_owned());

    let seconds = seconds(&[
        course(0, Told::Yes),
        course(900, Told::No),
        course(2_100, error()),
    ]);

    let shown: Vec<_> = seconds.iter().map(|s| (s.confirm_p99, s.errors)).collect();
    assert_eq!(shown, [(Some(900.0), 0), (None, 0), (None, 1)]);
}
