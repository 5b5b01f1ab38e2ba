//! The audit of a stack: waits until the stack is idle, dumps its topics, and runs the [`auditor`]. The rules are in
//! the auditor; this file knows where a stack keeps its evidence and when to read it.

pub mod deletion;
pub mod settled;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use auditor::verdict::Verdict;
use auditor::{Inputs, Limits, dump};

use crate::stack::{Ending, Process, Service, Stack};

/// The directory of the dumped topics in the data directory.
const TOPICS: &str = "topics";

/// Audits a running stack. Work in progress counts as lost.
///
/// # Errors
/// When the topics or the databases cannot be read.
pub async fn now(stack: &Stack, journal: Option<&Path>, limits: &Limits) -> Result<Verdict> {
    let topics = stack.data_dir().join(TOPICS);
    let prefix = stack.topic_prefix();
    dump::all_topics(&stack.addresses().kafka, prefix, &topics).await?;
    deletion::complete(stack, &topics)?;
    let inputs = Inputs {
        databases: stack.databases(),
        topic_prefix: prefix.to_owned(),
        journal: journal.map(PathBuf::from),
        topics,
    };
    auditor::check(&inputs, limits).await
}

/// Audits a stack at its end: waits until it is idle, stops both services cleanly, and requires that their committed
/// offsets are at the end. Broker and databases keep running. Work unfinished after `limit` appears in the verdict.
///
/// # Errors
/// When the topics or the databases cannot be read, or when a service does not stop cleanly.
pub async fn of_the_stopped(
    stack: &Stack,
    journal: Option<&Path>,
    limits: Limits,
    limit: Duration,
) -> Result<Verdict> {
    let has_settled = settled::wait(stack, limit).await?;
    let pair = Service::PAIR
        .map(|service| stack.processes(service))
        .concat();
    let endings = stop_pair(stack).await;
    for (process, ending) in &endings {
        ensure!(
            ending.is_clean(),
            "{process} did not stop cleanly: {ending}"
        );
    }
    let limits = Limits {
        // A service that was down, or had too little time, has not committed its offsets.
        stopped_cleanly: has_settled && endings.len() == pair.len(),
        ..limits
    };
    now(stack, journal, &limits).await
}

async fn stop_pair(stack: &Stack) -> Vec<(Process, Ending)> {
    let mut endings = Vec::new();
    for service in Service::PAIR {
        endings.extend(stack.stop_service(service).await);
    }
    endings
}
