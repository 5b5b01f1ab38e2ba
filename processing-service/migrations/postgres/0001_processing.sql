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
