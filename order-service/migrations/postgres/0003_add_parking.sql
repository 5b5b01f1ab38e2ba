-- Events that could not be handled, and what is needed to know which record killed a process. New tables only: the
-- release before this one does not know of them. Times are unix milliseconds by this database's clock, except those of
-- a fault, which are the consumer's.

CREATE FUNCTION unix_millis() RETURNS BIGINT LANGUAGE sql STABLE AS $$
    SELECT (extract(epoch FROM now()) * 1000)::bigint
$$;

-- Parked events. A key is fenced by its rows that are not SKIPPED, and the one of these with the lowest id is its head.
CREATE TABLE parked (
    id               BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    topic            TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    record_offset    BIGINT  NOT NULL,
    -- -1: the record has none. It tells the record from one at the same place of a topic that was created anew.
    record_timestamp BIGINT  NOT NULL,
    key              BYTEA,
    -- The key, if it is one whose order is kept.
    ordering_key     BYTEA   CHECK (length(ordering_key) <= 256),
    headers          BYTEA   NOT NULL,
    payload          BYTEA,
    state            TEXT    NOT NULL CHECK (state IN ('WAITING', 'DEAD', 'SKIPPED')),
    -- What was wrong with it; null for one that only waits behind others.
    fault_class      TEXT,
    fault_message    TEXT,
    attempts         BIGINT  NOT NULL,
    first_failed_at  BIGINT,
    last_failed_at   BIGINT,
    -- Of the sweeper, since it was parked or redriven.
    rounds           BIGINT  NOT NULL DEFAULT 0,
    -- By an operator.
    redrives         BIGINT  NOT NULL DEFAULT 0,
    -- Null for one that is not to be tried: it is behind others, or not waiting.
    next_attempt_at  BIGINT  CHECK (next_attempt_at IS NULL OR state = 'WAITING'),
    claimed_by       UUID,
    claimed_until    BIGINT,
    parked_at        BIGINT  NOT NULL,
    UNIQUE (topic, partition, record_offset, record_timestamp)
);
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
    owner         UUID    NOT NULL,
    after_a_crash BOOLEAN NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- Attempts that were begun and have not ended: each is at work, or killed its process.
CREATE TABLE record_attempts (
    topic            TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    record_offset    BIGINT  NOT NULL,
    record_timestamp BIGINT  NOT NULL,
    attempts         BIGINT  NOT NULL,
    PRIMARY KEY (topic, partition, record_offset, record_timestamp)
);

-- What operators did to parked events, written in the transaction that does it. Rows of parked come and go: no foreign key.
CREATE TABLE parked_audit (
    id        BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    at        BIGINT NOT NULL,
    actor     TEXT   NOT NULL,
    action    TEXT   NOT NULL CHECK (action IN ('REDRIVE', 'SKIP')),
    parked_id BIGINT NOT NULL,
    key       BYTEA,
    detail    TEXT   NOT NULL
);
