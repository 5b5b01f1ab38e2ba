use std::time::Instant;

use super::*;

/// Ten seconds with this many orders that were confirmed after this many milliseconds.
pub(in crate::load) fn figures(orders: u64, millis: u64) -> LoadFigures {
    let mut figures = LoadFigures::new(Duration::from_secs(10));
    for _ in 0..orders {
        figures.record_place(millis, Ok(()));
    }
    figures
}

impl LoadFigures {
    /// One order in the first window.
    pub(in crate::load) fn record_place(&mut self, millis: u64, answer: Result<(), Status>) {
        self.record_place_at(Duration::ZERO, millis, answer);
    }

    fn record_place_at(&mut self, at: Duration, millis: u64, answer: Result<(), Status>) {
        let due = Instant::now();
        let call = EndedCall {
            operation: Operation::Place,
            at,
            begun: due,
            times: Times {
                due,
                sent: due,
                answered: due + Duration::from_millis(millis),
            },
            trace: TraceContext::sampled_at(1.0),
        };
        self.offered(at);
        self.ended(&call, answer.map(|()| OrderAvailability::Confirmed));
    }
}

#[test]
fn the_slowest_calls_are_kept_with_their_traces() {
    let mut figures = figures(50, 5);
    for millis in [700, 300, 900] {
        figures.record_place(millis, Ok(()));
    }

    let slowest: Vec<_> = figures
        .slowest
        .iter()
        .map(|slow| slow.latency.as_millis())
        .collect();

    assert_eq!(slowest[..4], [900, 700, 300, 5]);
    assert_eq!(slowest.len(), SLOWEST);
    assert_eq!(figures.slowest[0].trace_id.len(), 32);
}

#[test]
fn a_call_counts_in_the_window_in_which_it_was_due() {
    let mut figures = LoadFigures::new(Duration::from_secs(10));

    figures.offered(Duration::from_millis(2_900));
    figures.dropped(Duration::from_millis(2_900));

    assert_eq!(figures.windows.len(), 3);
    assert_eq!(
        (figures.windows[2].offered, figures.windows[2].dropped),
        (1, 1)
    );
}

#[test]
fn a_long_run_has_a_bounded_number_of_windows() {
    let day = Duration::from_secs(86_400);
    let mut figures = LoadFigures::new(day);

    figures.offered(day - Duration::from_secs(1));

    assert_eq!(figures.window_length, Duration::from_secs(128));
    assert_eq!(figures.windows.len(), 86_400 / 128);
}

#[test]
fn a_run_that_its_count_will_end_has_windows_of_a_second() {
    let week = Duration::from_secs(7 * 86_400);
    let mut figures = LoadFigures::new(week);

    figures.offered(Duration::from_millis(4_300));

    assert_eq!(figures.window_length, Duration::from_secs(1));
    assert_eq!(figures.windows.len(), 5);
}

#[test]
fn windows_that_are_merged_keep_what_they_counted() {
    let mut figures = LoadFigures::new(Duration::from_secs(3_600));
    let second = Duration::from_secs;
    figures.record_place_at(second(0), 10, Ok(()));
    figures.record_place_at(second(1), 20, Ok(()));
    figures.record_place_at(second(1), 1, Err(Status::unavailable("broken pipe")));
    figures.record_place_at(second(2), 30, Ok(()));
    figures.dropped(second(3));

    figures.offered(second(1_200));

    let counts: Vec<_> = figures.windows[..3]
        .iter()
        .map(|window| {
            [
                window.offered,
                window.accepted,
                window.failed,
                window.dropped,
                window.confirm.len(),
            ]
        })
        .collect();
    assert_eq!(counts, [[3, 2, 1, 0, 2], [1, 1, 0, 1, 1], [0; 5]]);
    assert_eq!(figures.windows.len(), 601);
    assert_eq!(figures.windows[600].offered, 1);
    let slowest = figures.windows[0].quantile(1.0);
    assert_eq!(slowest.map(f64::round), Some(20.0));
}

#[test]
fn an_order_without_an_outcome_is_slower_than_any_other() {
    let mut outcomes = OrderOutcomes {
        unfinished: 30,
        failed: 10,
        ..OrderOutcomes::default()
    };
    for _ in 0..60 {
        outcomes.times.record(Duration::from_millis(20));
    }

    let quantiles = [0.5, 0.6, 0.61, 1.0].map(|share| outcomes.quantile(share).map(f64::round));

    assert_eq!(quantiles, [Some(20.0), Some(20.0), None, None]);
    assert_eq!(OrderOutcomes::default().quantile(0.5), None);
}

#[test]
fn orders_that_the_shop_cannot_accept_are_no_errors() {
    use tonic::Code;
    use tonic_types::{ErrorDetails, StatusExt as _};
    let spoken = |code, reason: &str| {
        let details = ErrorDetails::with_error_info(reason, "order-service", []);
        Err(Status::with_error_details(code, "no", details))
    };
    let mut figures = figures(8, 1);

    figures.record_place(1, spoken(Code::FailedPrecondition, "ITEMS_UNAVAILABLE"));
    let without = figures.error_share();
    figures.record_place(1, spoken(Code::ResourceExhausted, "OVERLOADED"));

    assert_eq!(without, Some(0.0));
    assert_eq!(figures.error_share(), Some(0.1));
}

#[test]
fn a_run_whose_calls_were_begun_late_is_no_measurement() {
    let mut figures = figures(10, 1);
    let before = figures.invalid();

    for _ in 0..10 {
        figures.lag.record(Duration::from_millis(40));
    }

    assert_eq!(before, None);
    // Not when the target is far slower than the tool.
    let mut slow = figures.clone();
    slow.record_place(900, Ok(()));
    assert_eq!(slow.invalid(), None);
    let why = figures.invalid().unwrap();
    assert!(why.contains("the tool itself was the limit"), "{why}");
}

#[test]
fn a_run_without_an_accepted_order_is_no_measurement() {
    let mut figures = figures(0, 0);
    figures.record_place(1, Err(Status::unavailable("no connection")));

    assert_eq!(figures.invalid().as_deref(), Some("no order was accepted"));
}

#[test]
fn a_run_without_a_counted_call_is_no_measurement() {
    assert_eq!(
        figures(0, 0).invalid().as_deref(),
        Some("no call was counted")
    );
}
