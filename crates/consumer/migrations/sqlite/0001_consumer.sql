-- Times are unix milliseconds.

-- Events that were handled; a row is written in the transaction of the event's effect. Pruned after INBOX_RETENTION.
CREATE TABLE inbox (
    event_id    BLOB    NOT NULL PRIMARY KEY,
    entity_id   BLOB    NOT NULL,
    sequence    INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The retry store. A key is blocked while it has rows that are not SKIPPED; the one with the lowest id is its head.
-- SKIPPED rows are pruned after INBOX_RETENTION: a row keeps its record from being handled when it comes again.
CREATE TABLE retry_events (
    -- AUTOINCREMENT: an id is never reused, since the audit refers to it.
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    topic            TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    record_offset    INTEGER NOT NULL,
    -- -1 if the record has none. Distinguishes the record from one at the same offset of a recreated topic.
    record_timestamp INTEGER NOT NULL,
    key              BLOB,
    -- The key, if its order is kept.
    ordering_key     BLOB    CHECK (length(ordering_key) <= 256),
    headers          BLOB    NOT NULL,
    payload          BLOB,
    state            TEXT    NOT NULL CHECK (state IN ('WAITING', 'DEAD', 'SKIPPED')),
    -- The last failure; null for an event that only waits behind others.
    fault_class      TEXT,
    fault_message    TEXT,
    attempts         INTEGER NOT NULL,
    first_failed_at  INTEGER,
    last_failed_at   INTEGER,
    -- Failed rounds of the sweeper since it was stored or redriven.
    rounds           INTEGER NOT NULL DEFAULT 0,
    -- Redrives by an operator.
    redrives         INTEGER NOT NULL DEFAULT 0,
    -- Null if it is not due at any time: behind the head of its key, or not WAITING.
    next_attempt_at  INTEGER CHECK (next_attempt_at IS NULL OR state = 'WAITING'),
    claimed_by       BLOB,
    claimed_until    INTEGER,
    stored_at        INTEGER NOT NULL,
    UNIQUE (topic, partition, record_offset, record_timestamp)
) STRICT;
-- Whether a key is blocked, its head, and the blocked keys of a topic.
CREATE INDEX retry_events_by_key ON retry_events (topic, ordering_key, id)
    WHERE state <> 'SKIPPED' AND ordering_key IS NOT NULL;
-- Due events. Events behind the head of their key are not in it.
CREATE INDEX retry_events_due ON retry_events (topic, next_attempt_at, id) WHERE next_attempt_at IS NOT NULL;
-- The operator's list.
CREATE INDEX retry_events_by_state ON retry_events (state, id);

-- The owner of each assigned partition. A clean hand-over deletes the row: an existing row was left by a crash.
CREATE TABLE consumer_assignments (
    topic         TEXT    NOT NULL,
    partition     INTEGER NOT NULL,
    owner         BLOB    NOT NULL,
    after_a_crash INTEGER NOT NULL CHECK (after_a_crash IN (0, 1)),
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- Attempts that have begun and not ended: in flight, or the process died in them. A count that is left
-- because its record never came again is pruned after INBOX_RETENTION.
CREATE TABLE record_attempts (
    topic            TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    record_offset    INTEGER NOT NULL,
    record_timestamp INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    -- When the last attempt began.
    counted_at       INTEGER NOT NULL,
    PRIMARY KEY (topic, partition, record_offset, record_timestamp)
) STRICT, WITHOUT ROWID;

-- Changes by operators, written in the same transaction. Pruned after AUDIT_RETENTION. No foreign key: rows of retry_events
-- are deleted.
CREATE TABLE retry_audit (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL CHECK (action IN ('REDRIVE', 'SKIP')),
    event_id  INTEGER NOT NULL,
    key       BLOB,
    detail    TEXT    NOT NULL
) STRICT;
