//! The metrics of a commit. Each test uses its own writer name, which identifies its measurements.

use super::*;
use telemetry::names::attributes::WRITER;
use telemetry::names::metrics::{BATCH_SIZES, DATABASE_SECONDS};
use telemetry::testing::{distribution, measured, record_spans};

/// Accepts every batch.
struct Agreeing;

#[async_trait]
impl Committer for Agreeing {
    type Command = ();
    type Reply = ();
    type Error = &'static str;

    const NAME: &'static str = "agree";

    async fn commit(&self, batch: &[()]) -> Result<Vec<()>, &'static str> {
        Ok(batch.to_vec())
    }
}

fn telemetry(writer: &'static str) -> CommitTelemetry {
    record_spans();
    CommitTelemetry::new(writer)
}

/// Records a commit that ends with these answers.
fn commit(telemetry: &CommitTelemetry, answers: &[Result<(), SubmitError<&'static str>>]) {
    let members: Vec<_> = answers.iter().map(|_| telemetry.submitted()).collect();
    telemetry.begin(members.iter()).ended(answers);
}

fn of(metric: &str, writer: &str) -> Vec<(String, u64)> {
    measured(metric, WRITER.name, writer)
}

fn once(labels: &str) -> Vec<(String, u64)> {
    vec![(labels.to_owned(), 1)]
}

#[test]
fn a_commit_records_its_batch_size_and_its_duration() {
    let telemetry = telemetry("measured");

    commit(&telemetry, &[Ok(()), Ok(()), Ok(())]);

    assert_eq!(of("group_commit.batch.size", "measured"), once(""));
    assert_eq!(of("group_commit.duration", "measured"), once(""));
    let writer = WRITER.of("measured");
    let sizes = distribution("group_commit.batch.size", &writer);
    assert_eq!(sizes, Some((3.0, BATCH_SIZES.to_vec())));
    let (_, boundaries) = distribution("group_commit.duration", &writer).unwrap();
    assert_eq!(boundaries, DATABASE_SECONDS);
}

#[test]
fn a_failed_commit_is_recorded_with_the_error_type_of_its_first_failure() {
    let telemetry = telemetry("failing");

    let failed = Err(SubmitError::Failed("away"));
    commit(&telemetry, &[Ok(()), failed, Err(SubmitError::Stopped)]);
    commit(&telemetry, &[Err(SubmitError::Stopped)]);

    let sizes = vec![(String::new(), 2)];
    assert_eq!(of("group_commit.batch.size", "failing"), sizes);
    let durations = of("group_commit.duration", "failing");
    let told = ["error.type=failed", "error.type=stopped"];
    assert_eq!(durations, told.map(|labels| (labels.to_owned(), 1)));
}

#[tokio::test]
async fn the_queue_gauge_counts_queued_commands_until_all_handles_are_dropped() {
    record_spans();
    let queue = || of("group_commit.queue", "agree");
    let tracker = TaskTracker::new();
    let writer = GroupCommit::start(Agreeing, GroupCommitConfig::default(), &tracker);
    {
        let submissions = futures::future::join_all((0..3).map(|_| writer.submit(())));
        tokio::pin!(submissions);
        assert!(futures::poll!(&mut submissions).is_pending());
        assert_eq!(queue(), [(String::new(), 3)]);
        submissions.await;
    }
    assert_eq!(queue(), [(String::new(), 0)]);
    let sizes = distribution("group_commit.batch.size", &WRITER.of("agree"));
    assert_eq!(sizes.map(|(commands, _)| commands), Some(3.0));

    drop(writer);
    assert!(queue().is_empty());
}
