-- The same tables and columns as on SQLite, so that auditors read both alike.

-- Stock in pieces. A piece is available, reserved for an order, or shipped; it is never lost and never two of these.
-- SKUs compare by byte: their order is the order in which transactions lock rows, and no locale may change it.
-- A hot row is rewritten many times a second: free space on its page keeps its old versions from spreading over others.
CREATE TABLE stock (
    sku       TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    name      TEXT   NOT NULL,
    opening   BIGINT NOT NULL CHECK (opening >= 0),
    available BIGINT NOT NULL CHECK (available >= 0),
    reserved  BIGINT NOT NULL CHECK (reserved >= 0),
    shipped   BIGINT NOT NULL CHECK (shipped >= 0),
    CHECK (opening = available + reserved + shipped)
) WITH (fillfactor = 30);

-- How far each order has come. `lines` is an orders.v1.OrderPlaced with the pieces per SKU and nothing else.
-- A row is rewritten for each step within moments of its insertion: the free space lets it stay on its page.
CREATE TABLE sagas (
    order_id      UUID   NOT NULL PRIMARY KEY,
    state         TEXT   NOT NULL CHECK (state IN ('RESERVED', 'CAPTURED', 'COMPENSATING', 'FULFILLED', 'REJECTED', 'CANCELLED')),
    -- Why the order is rejected, or will be when its compensation is done.
    reason        TEXT   CHECK (reason IN ('UNKNOWN_SKU', 'OUT_OF_STOCK', 'PAYMENT_DECLINED', 'PAYMENT_UNAVAILABLE')),
    -- Number of the next event that is announced about the order, from 1.
    next_sequence BIGINT NOT NULL CHECK (next_sequence >= 1),
    lines         BYTEA  NOT NULL,
    updated_at    BIGINT NOT NULL -- unix milliseconds
) WITH (fillfactor = 50);

-- Captures that the payment provider confirmed, one per order at most.
CREATE TABLE payments (
    order_id    UUID   NOT NULL PRIMARY KEY REFERENCES sagas (order_id),
    capture_id  TEXT   NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('CAPTURED', 'REFUNDED')),
    currency    TEXT   NOT NULL,
    minor_units BIGINT NOT NULL CHECK (minor_units > 0),
    updated_at  BIGINT NOT NULL -- unix milliseconds
);

-- What left the house, one per order at most.
CREATE TABLE shipments (
    order_id    UUID   NOT NULL PRIMARY KEY REFERENCES sagas (order_id),
    shipment_id TEXT   NOT NULL,
    created_at  BIGINT NOT NULL -- unix milliseconds
);

-- Events that wait for the broker; a row is deleted when it was acknowledged.
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
-- Finds the predecessor of an event of the same key.
CREATE INDEX outbox_by_key ON outbox (key, seq);

-- Who publishes which shard of the outbox, and until when (by this database's clock).
CREATE TABLE outbox_lease (
    shard      SMALLINT    NOT NULL PRIMARY KEY,
    owner      UUID,
    epoch      BIGINT      NOT NULL DEFAULT 0,
    expires_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO outbox_lease (shard) SELECT generate_series(0, 31);

-- Relays that are alive: the shards are divided among them.
CREATE TABLE outbox_relay (
    member     UUID        NOT NULL PRIMARY KEY,
    expires_at TIMESTAMPTZ NOT NULL
);

-- Events that were acted upon: written in the transaction that ends what the event began.
CREATE TABLE inbox (
    event_id    UUID   NOT NULL PRIMARY KEY,
    order_id    UUID   NOT NULL,
    sequence    BIGINT NOT NULL,
    received_at BIGINT NOT NULL -- unix milliseconds
);
