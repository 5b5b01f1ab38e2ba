-- Times are unix milliseconds by this database's clock, except first_failed_at and last_failed_at, which are the consumer's.

-- Events that were handled; a row is written in the transaction of the event's effect. Pruned after INBOX_RETENTION.
CREATE TABLE inbox (
    event_id    UUID   NOT NULL PRIMARY KEY,
    entity_id   UUID   NOT NULL,
    sequence    BIGINT NOT NULL,
    received_at BIGINT NOT NULL
    -- As many rows are pruned as are inserted: at the default of 20 % dead rows, a large table would be vacuumed too late.
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

CREATE FUNCTION unix_millis() RETURNS BIGINT LANGUAGE sql STABLE AS $$
    SELECT (extract(epoch FROM now()) * 1000)::bigint
$$;

-- The retry store. A key is blocked while it has rows that are not SKIPPED; the one with the lowest id is its head.
-- SKIPPED rows are pruned after INBOX_RETENTION: a row keeps its record from being handled when it comes again.
CREATE TABLE retry_events (
    id               BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    topic            TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    record_offset    BIGINT  NOT NULL,
    -- -1 if the record has none. Distinguishes the record from one at the same offset of a recreated topic.
    record_timestamp BIGINT  NOT NULL,
    key              BYTEA,
    -- The key, if its order is kept.
    ordering_key     BYTEA   CHECK (length(ordering_key) <= 256),
    headers          BYTEA   NOT NULL,
    payload          BYTEA,
    state            TEXT    NOT NULL CHECK (state IN ('WAITING', 'DEAD', 'SKIPPED')),
    -- The last failure; null for an event that only waits behind others.
    fault_class      TEXT,
    fault_message    TEXT,
    attempts         BIGINT  NOT NULL,
    first_failed_at  BIGINT,
    last_failed_at   BIGINT,
    -- Failed rounds of the sweeper since it was stored or redriven.
    rounds           BIGINT  NOT NULL DEFAULT 0,
    -- Redrives by an operator.
    redrives         BIGINT  NOT NULL DEFAULT 0,
    -- Null if it is not due at any time: behind the head of its key, or not WAITING.
    next_attempt_at  BIGINT  CHECK (next_attempt_at IS NULL OR state = 'WAITING'),
    claimed_by       UUID,
    claimed_until    BIGINT,
    stored_at        BIGINT  NOT NULL,
    UNIQUE (topic, partition, record_offset, record_timestamp)
);
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
    owner         UUID    NOT NULL,
    after_a_crash BOOLEAN NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- Attempts that have begun and not ended: in flight, or the process died in them. A count that is left
-- because its record never came again is pruned after INBOX_RETENTION.
CREATE TABLE record_attempts (
    topic            TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    record_offset    BIGINT  NOT NULL,
    record_timestamp BIGINT  NOT NULL,
    attempts         BIGINT  NOT NULL,
    -- When the last attempt began.
    counted_at       BIGINT  NOT NULL,
    PRIMARY KEY (topic, partition, record_offset, record_timestamp)
);

-- Changes by operators, written in the same transaction. Pruned after AUDIT_RETENTION. No foreign key: rows of retry_events
-- are deleted.
CREATE TABLE retry_audit (
    id        BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    at        BIGINT NOT NULL,
    actor     TEXT   NOT NULL,
    action    TEXT   NOT NULL CHECK (action IN ('REDRIVE', 'SKIP')),
    event_id  BIGINT NOT NULL,
    key       BYTEA,
    detail    TEXT   NOT NULL
);
