-- Events that could not be handled, and what is needed to know which record killed a process. New tables only: the
-- release before this one does not know of them. Times are unix milliseconds.

-- Parked events. A key is fenced by its rows that are not SKIPPED, and the one of these with the lowest id is its head.
CREATE TABLE parked (
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
    -- Of the sweeper, since it was parked or redriven.
    rounds           INTEGER NOT NULL DEFAULT 0,
    -- By an operator.
    redrives         INTEGER NOT NULL DEFAULT 0,
    -- Null for one that is not to be tried: it is behind others, or not waiting.
    next_attempt_at  INTEGER CHECK (next_attempt_at IS NULL OR state = 'WAITING'),
    claimed_by       BLOB,
    claimed_until    INTEGER,
    parked_at        INTEGER NOT NULL,
    UNIQUE (topic, partition, record_offset, record_timestamp)
) STRICT;
-- The fence of a key, its head, and the fenced keys of a topic.
CREATE INDEX parked_by_key ON parked (topic, ordering_key, id)
    WHERE state <> 'SKIPPED' AND ordering_key IS NOT NULL;
-- What is due. Nothing that waits behind others is in it, however much that is.
CREATE INDEX parked_due ON parked (topic, next_attempt_at, id) WHERE next_attempt_at IS NOT NULL;
-- What an operator looks through.
CREATE INDEX parked_by_state ON parked (state, id);

-- Who works on a partition. Whoever ends in order takes the row away: one that is found was left by a crash.
CREATE TABLE consumer_assignments (
    topic         TEXT    NOT NULL,
    partition     INTEGER NOT NULL,
    owner         BLOB    NOT NULL,
    after_a_crash INTEGER NOT NULL CHECK (after_a_crash IN (0, 1)),
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- Attempts that were begun and have not ended: each is at work, or killed its process.
CREATE TABLE record_attempts (
    topic            TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    record_offset    INTEGER NOT NULL,
    record_timestamp INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    PRIMARY KEY (topic, partition, record_offset, record_timestamp)
) STRICT, WITHOUT ROWID;

-- What operators did to parked events, written in the transaction that does it. Rows of parked come and go: no foreign key.
CREATE TABLE parked_audit (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL CHECK (action IN ('REDRIVE', 'SKIP')),
    parked_id INTEGER NOT NULL,
    key       BLOB,
    detail    TEXT    NOT NULL
) STRICT;
