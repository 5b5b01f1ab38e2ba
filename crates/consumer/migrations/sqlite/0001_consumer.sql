-- Times are unix milliseconds.

-- Events that were handled; a row is written in the transaction of the event's effect.
CREATE TABLE inbox (
    event_id    BLOB    NOT NULL PRIMARY KEY,
    entity_id   BLOB    NOT NULL,
    sequence    INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The retry store. A key is blocked while it has rows that are not SKIPPED; the one with the lowest id is its head.
CREATE TABLE retry_events (
    -- AUTOINCREMENT: an id is never used again, the audit names it for good.
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    topic            TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    record_offset    INTEGER NOT NULL,
    -- -1: the record has none. It tells the record from one at the same place of a topic that was created anew.
    record_timestamp INTEGER NOT NULL,
    key              BLOB,
    -- The key, if it is one whose order is kept.
    ordering_key     BLOB    CHECK (length(ordering_key) <= 256),
    headers          BLOB    NOT NULL,
    payload          BLOB,
    state            TEXT    NOT NULL CHECK (state IN ('WAITING', 'DEAD', 'SKIPPED')),
    -- What was wrong with it; null for one that only waits behind others.
    fault_class      TEXT,
    fault_message    TEXT,
    attempts         INTEGER NOT NULL,
    first_failed_at  INTEGER,
    last_failed_at   INTEGER,
    -- Of the sweeper, since it was stored or redriven.
    rounds           INTEGER NOT NULL DEFAULT 0,
    -- By an operator.
    redrives         INTEGER NOT NULL DEFAULT 0,
    -- Null for one that is not to be tried: it is behind the head of its key, or not WAITING.
    next_attempt_at  INTEGER CHECK (next_attempt_at IS NULL OR state = 'WAITING'),
    claimed_by       BLOB,
    claimed_until    INTEGER,
    stored_at        INTEGER NOT NULL,
    UNIQUE (topic, partition, record_offset, record_timestamp)
) STRICT;
-- Whether a key is blocked, its head, and the blocked keys of a topic.
CREATE INDEX retry_events_by_key ON retry_events (topic, ordering_key, id)
    WHERE state <> 'SKIPPED' AND ordering_key IS NOT NULL;
-- What is due. Events that wait behind the head of their key are not in it.
CREATE INDEX retry_events_due ON retry_events (topic, next_attempt_at, id) WHERE next_attempt_at IS NOT NULL;
-- The operator's list.
CREATE INDEX retry_events_by_state ON retry_events (state, id);

-- The owner of each assigned partition. A clean hand-over deletes the row: one that is found was left by a crash.
CREATE TABLE consumer_assignments (
    topic         TEXT    NOT NULL,
    partition     INTEGER NOT NULL,
    owner         BLOB    NOT NULL,
    after_a_crash INTEGER NOT NULL CHECK (after_a_crash IN (0, 1)),
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- Attempts that were begun and have not ended: in progress, or the process died in them.
CREATE TABLE record_attempts (
    topic            TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    record_offset    INTEGER NOT NULL,
    record_timestamp INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    PRIMARY KEY (topic, partition, record_offset, record_timestamp)
) STRICT, WITHOUT ROWID;

-- What operators did to events of the retry store, written in the same transaction. No foreign key: retry events come and go.
CREATE TABLE retry_audit (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL CHECK (action IN ('REDRIVE', 'SKIP')),
    event_id  INTEGER NOT NULL,
    key       BLOB,
    detail    TEXT    NOT NULL
) STRICT;
