-- Events that wait for the broker. A row is deleted after the broker has acknowledged it.
CREATE TABLE outbox (
    seq        BIGINT      NOT NULL GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    shard      SMALLINT    NOT NULL,
    topic      TEXT        NOT NULL,
    key        TEXT        NOT NULL,
    headers    BYTEA       NOT NULL,
    payload    BYTEA       NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000);
-- Finds the predecessor of an event of the same key. Without `seq`, so that no statement which names positions can use it:
-- while the table looks empty to the planner, reading all of this index would cost as much as a look into the primary key.
CREATE INDEX outbox_by_key ON outbox (key);
-- Few events of a key wait at once. An outbox that happens to hold events of one key when it is analysed would look as if all
-- had that key, and the index as useless.
ALTER TABLE outbox ALTER COLUMN key SET (n_distinct = -0.5);

-- Leases: the relay that publishes each shard, and until when (by this database's clock).
CREATE TABLE outbox_lease (
    shard      SMALLINT    NOT NULL PRIMARY KEY,
    owner      UUID,
    epoch      BIGINT      NOT NULL DEFAULT 0,
    expires_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO outbox_lease (shard) SELECT generate_series(0, 31);

-- Live relays. The shards are divided evenly among them.
CREATE TABLE outbox_relay (
    member     UUID        NOT NULL PRIMARY KEY,
    expires_at TIMESTAMPTZ NOT NULL
);
