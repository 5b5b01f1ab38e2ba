-- Stock in pieces. Each piece is either available, reserved for an order, or shipped.
CREATE TABLE stock (
    sku       TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    opening   INTEGER NOT NULL CHECK (opening >= 0),
    available INTEGER NOT NULL CHECK (available >= 0),
    reserved  INTEGER NOT NULL CHECK (reserved >= 0),
    shipped   INTEGER NOT NULL CHECK (shipped >= 0),
    CHECK (opening = available + reserved + shipped)
) STRICT, WITHOUT ROWID;

-- The saga of each order. Pruned in a final state after SAGA_RETENTION, with its payment and shipment. `lines` is an orders.v1.OrderPlaced that holds only the pieces per SKU.
CREATE TABLE sagas (
    order_id      BLOB PRIMARY KEY,
    state         TEXT NOT NULL CHECK (state IN ('RESERVED', 'CAPTURED', 'COMPENSATING', 'FULFILLED', 'REJECTED', 'CANCELLED')),
    -- The reason of a rejection; set already while compensation is in progress.
    reason        TEXT CHECK (reason IN ('UNKNOWN_SKU', 'OUT_OF_STOCK', 'PAYMENT_DECLINED', 'PAYMENT_UNAVAILABLE')),
    -- Number of the next published event of the order, from 1.
    next_sequence INTEGER NOT NULL CHECK (next_sequence >= 1),
    lines         BLOB NOT NULL,
    updated_at    INTEGER NOT NULL -- unix milliseconds
) STRICT;

-- Captures confirmed by the payment provider, at most one per order.
CREATE TABLE payments (
    order_id    BLOB PRIMARY KEY REFERENCES sagas (order_id) ON DELETE CASCADE,
    capture_id  TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('CAPTURED', 'REFUNDED')),
    currency    TEXT NOT NULL,
    minor_units INTEGER NOT NULL CHECK (minor_units > 0),
    updated_at  INTEGER NOT NULL -- unix milliseconds
) STRICT, WITHOUT ROWID;

-- At most one shipment per order.
CREATE TABLE shipments (
    order_id    BLOB PRIMARY KEY REFERENCES sagas (order_id) ON DELETE CASCADE,
    shipment_id TEXT NOT NULL,
    created_at  INTEGER NOT NULL -- unix milliseconds
) STRICT, WITHOUT ROWID;
