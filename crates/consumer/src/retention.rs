//! How long the tables of this crate keep their rows.
//!
//! An event can come again as long as its topic has it: a consumer group that is reset to the beginning reads all of it.
//! So the inbox, the skipped events of the retry store and the attempt counts are kept longer than the topic keeps its
//! records. Events WAITING or DEAD in the retry store are never pruned: they are work.

use std::time::Duration;

use service::config::Settings;
use sql::retention::{RetentionKey, RetentionRule, read_retention};

/// How long handled events and operator actions are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerRetention {
    /// Inbox rows, skipped events of the retry store, counts of attempts that a crash has left.
    pub inbox: Duration,
    /// The audits of operator actions.
    pub audit: Duration,
}

impl ConsumerRetention {
    /// Reads `INBOX_RETENTION` and `AUDIT_RETENTION`; `redelivered_for` is how long the consumed topic can deliver a
    /// record again.
    pub fn read(settings: &mut Settings<'_>, redelivered_for: Duration) -> Self {
        settings.renamed("RETRY_AUDIT_RETENTION", "AUDIT_RETENTION");
        Self {
            inbox: read_retention(
                settings,
                "INBOX_RETENTION",
                "9d",
                redelivered_for,
                "how long a handled or skipped event is remembered; at least 8d, the longest time that its topic keeps it",
            ),
            audit: settings.value(
                "AUDIT_RETENTION",
                "365d",
                "how long the actions of operators stay in the audit tables",
            ),
        }
    }

    /// The rules of the tables of this crate.
    pub fn rules(&self) -> Vec<RetentionRule> {
        vec![
            RetentionRule {
                table: "inbox",
                key: RetentionKey::TimeOrderedId("event_id"),
                time: "received_at",
                condition: "TRUE",
                kept: self.inbox,
            },
            RetentionRule {
                table: "retry_events",
                key: RetentionKey::Columns("id"),
                time: "stored_at",
                condition: "state = 'SKIPPED'",
                kept: self.inbox,
            },
            RetentionRule {
                table: "record_attempts",
                key: RetentionKey::Columns("topic, partition, record_offset, record_timestamp"),
                time: "counted_at",
                condition: "TRUE",
                kept: self.inbox,
            },
            RetentionRule {
                table: "retry_audit",
                key: RetentionKey::Columns("id"),
                time: "at",
                condition: "TRUE",
                kept: self.audit,
            },
        ]
    }
}
