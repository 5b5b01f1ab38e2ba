//! [`Operations`] on the database: queries, and changes of a dead head with their audit row.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::FromRow;

use super::connection::Connection;
use super::database::{RetryTables, make_head_due, one};
use super::operations::{
    AuditEntry, Filter, Listing, MAX_COUNTED_BEHIND, OperationError, Operations, OperatorRefusal,
    RetryEvent, RetryStoreCount, State, is_dead_head, is_not_redriven_too_often,
};
use super::row::{RetryEventRow, count};
use super::{Claimed, RetryStoreError};

/// `$1` selects one event, then with its payload. The rows behind it are counted up to `$8`.
const SELECT: &str = "
SELECT id, topic, partition, record_offset, record_timestamp, key, headers,
       CASE WHEN $1 IS NOT NULL THEN payload END AS payload,
       fault_class, fault_message, attempts, first_failed_at, last_failed_at, rounds, redrives,
       state, stored_at, next_attempt_at, unix_millis() - stored_at AS age,
       CASE WHEN state <> 'SKIPPED' THEN
           (SELECT head.id FROM retry_events AS head
            WHERE head.topic = retry_events.topic AND head.ordering_key = retry_events.ordering_key
              AND head.state <> 'SKIPPED' ORDER BY head.id LIMIT 1) END AS head,
       (SELECT count(*) FROM
           (SELECT 1 FROM retry_events AS other
            WHERE other.topic = retry_events.topic AND other.ordering_key = retry_events.ordering_key
              AND other.state <> 'SKIPPED' AND other.id > retry_events.id AND retry_events.state <> 'SKIPPED'
            LIMIT $8) AS others) AS behind
FROM retry_events
WHERE ($1 IS NULL OR id = $1) AND id > $2
  AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR fault_class = $4)
  AND ($5 IS NULL OR key = $5)
  AND NOT ($6 AND EXISTS (SELECT 1 FROM retry_events AS earlier
                          WHERE earlier.topic = retry_events.topic AND earlier.ordering_key = retry_events.ordering_key
                            AND earlier.state <> 'SKIPPED' AND earlier.id < retry_events.id))
ORDER BY id LIMIT $7";

/// The update changes nothing: it locks the row, on both engines.
const LOCK_CANDIDATE: &str = "
UPDATE retry_events SET state = state WHERE id = $1
RETURNING id, topic, partition, record_offset, key, ordering_key, state, fault_class, fault_message, redrives";

const HEAD: &str = "
SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $2 AND state <> 'SKIPPED' ORDER BY id LIMIT 1";

const REDRIVE: &str = "
UPDATE retry_events SET state = 'WAITING', next_attempt_at = unix_millis(), rounds = 0, redrives = redrives + 1,
                  claimed_by = NULL, claimed_until = NULL
WHERE id = $1";

const SKIP: &str = "
UPDATE retry_events SET state = 'SKIPPED', claimed_by = NULL, claimed_until = NULL WHERE id = $1";

const WRITE_AUDIT: &str = "
INSERT INTO retry_audit (at, actor, action, event_id, key, detail) VALUES (unix_millis(), $1, $2, $3, $4, $5)";

const READ_AUDIT: &str = "
SELECT id, at, actor, action, event_id, key, detail FROM retry_audit ORDER BY id DESC LIMIT $1";

/// Does not read SKIPPED rows, which are kept for days.
const COUNT: &str = "
WITH blocking AS (SELECT topic, ordering_key FROM retry_events WHERE state IN ('WAITING', 'DEAD') LIMIT $1)
SELECT (SELECT count(*) FROM blocking),
       (SELECT count(*) FROM (SELECT DISTINCT topic, ordering_key FROM blocking
                              WHERE ordering_key IS NOT NULL) AS keys)";

#[async_trait]
impl Operations for RetryTables {
    async fn list(&self, filter: &Filter, limit: u32) -> Result<Listing, RetryStoreError> {
        let mut listing = Listing::default();
        for row in self.select(None, filter, limit).await? {
            let id = row.row.id;
            match RetryEvent::try_from(row) {
                Ok(event) => listing.events.push(event),
                Err(_) => listing.damaged.push(id),
            }
        }
        Ok(listing)
    }

    async fn get(&self, id: i64) -> Result<Option<RetryEvent>, RetryStoreError> {
        let mut rows = self.select(Some(id), &Filter::default(), 1).await?;
        rows.pop().map(RetryEvent::try_from).transpose()
    }

    async fn redrive(&self, id: i64, actor: &str, force: bool) -> Result<(), OperationError> {
        let action = OperatorAction::Redrive { force };
        self.act(id, actor, action).await
    }

    async fn skip(&self, id: i64, actor: &str, reason: &str) -> Result<(), OperationError> {
        let action = OperatorAction::Skip { reason };
        self.act(id, actor, action).await
    }

    async fn count(&self, at_most: u32) -> Result<RetryStoreCount, RetryStoreError> {
        let at_most = i64::from(at_most);
        let counted = self.read(COUNT, |query| query.bind(at_most)).await?;
        let (events, keys): (i64, i64) = one(counted)?;
        Ok(RetryStoreCount {
            events: events.unsigned_abs(),
            keys: keys.unsigned_abs(),
        })
    }

    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, RetryStoreError> {
        let limit = i64::from(limit);
        Ok(self.read(READ_AUDIT, |query| query.bind(limit)).await?)
    }
}

impl RetryTables {
    async fn select(
        &self,
        id: Option<i64>,
        filter: &Filter,
        limit: u32,
    ) -> Result<Vec<OperatorRow>, sqlx::Error> {
        self.read(SELECT, |query| {
            query
                .bind(id)
                .bind(filter.after)
                .bind(filter.state.map(|state| state.name().to_uppercase()))
                .bind(filter.class.map(|class| class.name()))
                .bind(&filter.key)
                .bind(filter.only_heads)
                .bind(i64::from(limit))
                .bind(i64::from(MAX_COUNTED_BEHIND))
        })
        .await
    }

    async fn act(
        &self,
        id: i64,
        actor: &str,
        action: OperatorAction<'_>,
    ) -> Result<(), OperationError> {
        let done = self.run(async || self.try_to_act(id, actor, action).await);
        Ok(done.await??)
    }

    async fn try_to_act(
        &self,
        id: i64,
        actor: &str,
        action: OperatorAction<'_>,
    ) -> Result<Result<(), OperatorRefusal>, sqlx::Error> {
        let mut transaction = self.transaction().await?;
        let candidate = transaction.query(LOCK_CANDIDATE).bind(id);
        let Some(candidate) = candidate.fetch_optional::<Candidate>().await? else {
            return Ok(Err(OperatorRefusal::Unknown { id }));
        };
        let head = candidate.head(&mut transaction).await?;
        let detail = match action.decide(&candidate, head) {
            Ok(detail) => detail,
            Err(refusal) => return Ok(Err(refusal)),
        };
        action.change(&candidate, &mut transaction).await?;
        let audit = transaction.query(WRITE_AUDIT);
        let audit = audit.bind(actor).bind(action.name()).bind(id);
        audit.bind(&candidate.key).bind(detail).execute().await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }
}

/// The state of this name in the database, which is in upper case.
fn of_stored(name: &str) -> Option<State> {
    let mut states = State::ALL.into_iter();
    states.find(|state| state.name().to_uppercase() == name)
}

#[derive(Clone, Copy)]
enum OperatorAction<'a> {
    Redrive { force: bool },
    Skip { reason: &'a str },
}

impl OperatorAction<'_> {
    /// The name in the audit.
    fn name(self) -> &'static str {
        match self {
            Self::Redrive { .. } => "REDRIVE",
            Self::Skip { .. } => "SKIP",
        }
    }

    /// Whether the row allows it, and the detail of the audit row; `head` is the first id of its key.
    fn decide(self, candidate: &Candidate, head: Option<i64>) -> Result<String, OperatorRefusal> {
        let id = candidate.id;
        let state = of_stored(&candidate.state).ok_or(OperatorRefusal::Unreadable { id })?;
        is_dead_head(id, state, head)?;
        let about = candidate.about();
        match self {
            Self::Skip { reason } => Ok(format!("{reason} ({about})")),
            Self::Redrive { force } => {
                let redrives = count(candidate.redrives);
                is_not_redriven_too_often(id, redrives, force)?;
                let forced = if force { ", forced" } else { "" };
                Ok(format!("redrive {}{forced} ({about})", redrives + 1))
            }
        }
    }

    async fn change(
        self,
        candidate: &Candidate,
        transaction: &mut Connection,
    ) -> Result<(), sqlx::Error> {
        match self {
            Self::Redrive { .. } => {
                transaction
                    .query(REDRIVE)
                    .bind(candidate.id)
                    .execute()
                    .await
            }
            Self::Skip { .. } => {
                let skip = transaction.query(SKIP).bind(candidate.id);
                skip.execute().await?;
                let Some(key) = &candidate.ordering_key else {
                    return Ok(());
                };
                make_head_due(transaction, &candidate.topic, key).await
            }
        }
    }
}

/// The row of an event that an operator wants to change.
#[derive(FromRow)]
struct Candidate {
    id: i64,
    topic: String,
    partition: i32,
    record_offset: i64,
    key: Option<Vec<u8>>,
    ordering_key: Option<Vec<u8>>,
    state: String,
    fault_class: Option<String>,
    fault_message: Option<String>,
    redrives: i64,
}

impl Candidate {
    async fn head(&self, transaction: &mut Connection) -> Result<Option<i64>, sqlx::Error> {
        let head = transaction.query(HEAD).bind(&self.topic);
        let head: Option<(i64,)> = head.bind(&self.ordering_key).fetch_optional().await?;
        Ok(head.map(|(id,)| id))
    }

    /// Origin and last failure: the row may be deleted when the audit is read.
    fn about(&self) -> String {
        let Self {
            topic,
            partition,
            record_offset,
            ..
        } = self;
        let class = self.fault_class.as_deref().unwrap_or("no fault");
        let message = self.fault_message.as_deref().unwrap_or("none");
        format!("{topic}[{partition}]@{record_offset}, {class}: {message}")
    }
}

#[derive(FromRow)]
struct OperatorRow {
    #[sqlx(flatten)]
    row: RetryEventRow,
    state: String,
    stored_at: i64,
    next_attempt_at: Option<i64>,
    age: i64,
    head: Option<i64>,
    behind: i64,
}

impl TryFrom<OperatorRow> for RetryEvent {
    type Error = RetryStoreError;

    fn try_from(row: OperatorRow) -> Result<Self, RetryStoreError> {
        let id = row.row.id;
        let state = of_stored(&row.state).ok_or(RetryStoreError::Damaged(id))?;
        let event = Claimed::try_from(row.row)?;
        Ok(Self {
            id,
            state,
            record: event.record,
            fault: event.fault,
            rounds: event.rounds,
            redrives: event.redrives,
            stored_at: row.stored_at,
            next_attempt_at: row.next_attempt_at,
            age: Duration::from_millis(u64::try_from(row.age).unwrap_or(0)),
            head: row.head,
            behind: count(row.behind),
        })
    }
}
