-- Stock in pieces. A piece is available, reserved for an order, or shipped; it is never lost and never two of these.
CREATE TABLE stock (
    sku       TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    opening   INTEGER NOT NULL CHECK (opening >= 0),
    available INTEGER NOT NULL CHECK (available >= 0),
    reserved  INTEGER NOT NULL CHECK (reserved >= 0),
    shipped   INTEGER NOT NULL CHECK (shipped >= 0),
    CHECK (opening = available + reserved + shipped)
) STRICT, WITHOUT ROWID;

-- How far each order has come. `lines` is an orders.v1.OrderPlaced with the pieces per SKU and nothing else.
CREATE TABLE sagas (
    order_id      BLOB PRIMARY KEY,
    state         TEXT NOT NULL CHECK (state IN ('RESERVED', 'CAPTURED', 'COMPENSATING', 'FULFILLED', 'REJECTED', 'CANCELLED')),
    -- Why the order is rejected, or will be when its compensation is done.
    reason        TEXT CHECK (reason IN ('UNKNOWN_SKU', 'OUT_OF_STOCK', 'PAYMENT_DECLINED', 'PAYMENT_UNAVAILABLE')),
    -- Number of the next event that is announced about the order, from 1.
    next_sequence INTEGER NOT NULL CHECK (next_sequence >= 1),
    lines         BLOB NOT NULL,
    updated_at    INTEGER NOT NULL -- unix milliseconds
) STRICT;

-- Captures that the payment provider confirmed, one per order at most.
CREATE TABLE payments (
    order_id    BLOB PRIMARY KEY REFERENCES sagas (order_id),
    capture_id  TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('CAPTURED', 'REFUNDED')),
    currency    TEXT NOT NULL,
    minor_units INTEGER NOT NULL CHECK (minor_units > 0),
    updated_at  INTEGER NOT NULL -- unix milliseconds
) STRICT, WITHOUT ROWID;

-- What left the house, one per order at most.
CREATE TABLE shipments (
    order_id    BLOB PRIMARY KEY REFERENCES sagas (order_id),
    shipment_id TEXT NOT NULL,
    created_at  INTEGER NOT NULL -- unix milliseconds
) STRICT, WITHOUT ROWID;
