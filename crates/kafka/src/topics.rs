//! Topics as code: created on demand, and checked before a service is ready.
//!
//! * [`command`] creates missing topics and compares existing ones; it is idempotent. It never changes a topic: partitions
//!   cannot be removed, more of them move keys to other partitions, and a shorter retention deletes records. An operator
//!   resolves differences.
//! * [`check`] reads names, partitions and message size limits, in bounded time; [`settled`] waits until they are correct. A service does not
//!   wait for a Kafka that is unavailable: it still accepts orders. With wrong topics it would accept orders that cannot be
//!   processed.

use tokio::task::spawn_blocking;

use crate::config::KafkaConfig;
use service::command_line::{Command, ExitError};
use service::config::ConfigError;

mod config;
mod report;

mod admin;
mod check;
mod limits;
mod metadata;

use report::TopicReport;

pub use check::{TopicsCheck, check, settled};
pub use config::{
    DEAD_LETTER_BYTES, EVENT_BYTES, SEGMENT, TopicSpec, TopicsConfig, redelivered_for,
};

/// The subcommand `topics`: creates missing topics and fails if an existing one differs.
pub fn command(
    config: impl FnOnce() -> Result<(KafkaConfig, TopicsConfig), ConfigError> + 'static,
    topics: &'static [TopicSpec],
) -> Command {
    let about = "Create the Kafka topics that the service writes and end; differences of existing ones are an error";
    Command::new("topics", about, async move || {
        let (kafka, config) = config()?;
        // The client blocks, also while it is created and dropped.
        let created = spawn_blocking(move || admin::create(&kafka, config, topics)).await;
        // The task fails only while the runtime is shutting down.
        let reports =
            created.map_err(|_| ExitError::failed("creating topics was interrupted"))??;
        for report in &reports {
            println!("{report}");
        }
        if reports.iter().all(TopicReport::is_as_requested) {
            return Ok(());
        }
        Err(ExitError::failed("a topic exists with differences"))
    })
}
