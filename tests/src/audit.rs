//! The audit of a stack: waits until it has come to rest, dumps its topics, and has the [`auditor`] judge.
//!
//! What must hold is the auditor's business. Here is only where the evidence of a stack lies, and when to look at it.

pub mod settled;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use auditor::verdict::Verdict;
use auditor::{Inputs, Limits, dump};

use crate::stack::{Ending, Process, Service, Stack};

/// The directory of the dumped topics in the data directory.
const TOPICS: &str = "topics";

/// Audits a stack as it is now. What is under way counts as lost.
///
/// # Errors
/// When the topics or the databases cannot be read.
pub async fn now(stack: &Stack, journal: Option<&Path>, limits: &Limits) -> Result<Verdict> {
    let topics = stack.data_dir().join(TOPICS);
    dump::all_topics(&stack.addresses().kafka, &topics).await?;
    let inputs = Inputs {
        databases: stack.databases(),
        journal: journal.map(PathBuf::from),
        topics,
    };
    auditor::check(&inputs, limits).await
}

/// Audits a stack that is to be stopped: waits for its rest, stops both services in order, and holds their offsets to it.
/// Broker and databases run on. What is still under way after `patience`, the verdict names.
///
/// # Errors
/// When the topics or the databases cannot be read, or when a service does not stop cleanly.
pub async fn of_the_stopped(
    stack: &Stack,
    journal: Option<&Path>,
    limits: Limits,
    retry_policy: Duration,
) -> Result<Verdict> {
    let has_settled = settled::wait(stack, retry_policy).await?;
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
        // Whoever was down, or was given no time, had nothing to commit.
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
