//! The time in which one assignment works on a partition, as the database knows it.
//!
//! Whoever begins is told which keys are fenced, and whether the one before has ended in order. It may have died in the
//! midst of a record that kills every process, so its successor is careful ([`super::crash_loop_guard`]). Ending is a courtesy: a
//! successor that is careful without need loses a little time, nothing else.

use std::sync::Arc;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::scope::{RETRY, Scope};
use crate::retry_store::{Beginning, Source};
use service::error_chain::ErrorChain;

/// How long the end of an assignment waits for the database. The poll thread waits half a second longer for a partition
/// than handlers may take, and nobody works on it meanwhile.
const RELEASE_TIMEOUT: Duration = Duration::from_millis(400);

/// One assignment of one partition.
pub(super) struct Tenure {
    scope: Arc<Scope>,
    source: Source,
    /// A new one for each assignment: what ends late must not end its successor.
    owner: Uuid,
    has_begun: AtomicBool,
}

impl Tenure {
    pub(super) fn new(scope: Arc<Scope>, partition: i32) -> Self {
        let source = Source {
            topic: scope.config().topic.to_owned(),
            partition,
        };
        Self {
            scope,
            source,
            owner: Uuid::new_v4(),
            has_begun: AtomicBool::new(false),
        }
    }

    /// Begins, as soon as the database answers.
    pub(super) async fn begin(&self) -> Beginning {
        for attempt in 1_u32.. {
            match self
                .scope
                .retry_store()
                .begin(&self.source, self.owner)
                .await
            {
                Ok(beginning) => {
                    self.has_begun.store(true, Ordering::Release);
                    self.log(&beginning);
                    return beginning;
                }
                Err(error) => {
                    let delay = RETRY.delay(attempt);
                    tracing::warn!(
                        topic = self.source.topic,
                        partition = self.source.partition,
                        delay_ms = delay.as_millis(),
                        error = %ErrorChain(&error),
                        "partition waits for the database"
                    );
                    tokio::time::sleep(delay).await;
                }
            }
        }
        std::future::pending().await
    }

    /// Everything that was begun has ended.
    pub(super) async fn end(&self) {
        if !self.has_begun.load(Ordering::Acquire) {
            return;
        }
        let end = self.scope.retry_store().end(&self.source, self.owner);
        if !matches!(tokio::time::timeout(RELEASE_TIMEOUT, end).await, Ok(Ok(()))) {
            tracing::info!(
                topic = self.source.topic,
                partition = self.source.partition,
                "end of a partition's work was not noted: whoever is next will be careful"
            );
        }
    }

    fn log(&self, beginning: &Beginning) {
        if beginning.after_a_crash {
            tracing::info!(
                topic = self.source.topic,
                partition = self.source.partition,
                "partition was not given back in order: its next events are handled with care"
            );
        }
    }
}
