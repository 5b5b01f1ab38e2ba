use super::*;

fn parse(options: &str) -> Result<OrdersLoadArguments, clap::Error> {
    OrdersLoadArguments::try_parse_from(
        ["orders-load"]
            .into_iter()
            .chain(options.split_whitespace()),
    )
}

#[test]
fn a_wrong_option_is_explained_and_is_wrong_usage() {
    for (options, explanation) in [
        (
            "--schedule sawtooth:1/s",
            "there is no schedule \"sawtooth\"",
        ),
        ("--slo latency.p99<1s", "there is no metric"),
        ("--mix get=1", "a mix needs place"),
        ("--duration 30", "is no duration"),
        ("--callers 0", "0 is not in 1"),
        ("--callers 2 --schedule constant:1/s", "cannot be used with"),
        ("--find-knee --count 5", "cannot be used with"),
        ("--key key.pem", "--cert"),
    ] {
        let error = parse(options).unwrap_err();

        assert!(
            error.to_string().contains(explanation),
            "{options}: {error}"
        );
        assert_eq!(error.exit_code(), 2, "{options}");
    }
}

#[test]
fn a_file_of_stages_excludes_a_duration() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "10s 5/s\n").unwrap();
    let options = format!("--schedule file:{} --duration 5s", file.path().display());

    let error = parse(&options).unwrap().run.plan().unwrap_err();

    assert!(
        error.to_string().contains("leave --duration out"),
        "{error}"
    );
}

#[test]
fn a_count_without_a_duration_runs_until_it_is_reached() {
    let plan = |options| parse(options).unwrap().run.plan().unwrap();

    for options in [
        "--count 5",
        "--count 5 --callers 2",
        "--count 5 --schedule constant:5/s",
    ] {
        assert_eq!(plan(options).length, WEEK, "{options}");
    }
    assert_eq!(
        plan("--count 5 --duration 2s").length,
        Duration::from_secs(2)
    );
    assert_eq!(plan("").length, LENGTH);
}

#[test]
fn a_count_does_not_stretch_a_schedule_whose_rate_changes() {
    for schedule in [
        "ramp:10/s..500/s",
        "step:10/s..500/s/5",
        "spike:100/s..500/s",
    ] {
        let plan = parse(&format!("--count 5 --schedule {schedule}"))
            .unwrap()
            .run
            .plan()
            .unwrap();

        assert_eq!(plan.measured_length(), LENGTH, "{schedule}");
        assert_eq!(plan.count, Some(5));
    }
}

#[test]
fn a_search_for_the_knee_has_objectives() {
    let objectives = |options| parse(options).unwrap().run.objectives().unwrap();

    assert_eq!(objectives(""), Objectives::default());
    assert_ne!(objectives("--find-knee"), Objectives::default());
}
