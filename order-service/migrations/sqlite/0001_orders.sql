-- Orders and their history. Ids are the 16 bytes of a UUID, times are unix
-- milliseconds, states are the names of the contract without their prefix.

-- The current state, and the idempotency key (request_id, customer_id). Pruned in a final state after ORDER_RETENTION.
CREATE TABLE orders (
    order_id            BLOB    NOT NULL PRIMARY KEY CHECK (length(order_id) = 16),
    customer_id         TEXT    NOT NULL,
    request_id          BLOB    NOT NULL CHECK (length(request_id) = 16),
    -- SHA-256 of the body: distinguishes a retry from another order under the same request_id.
    fingerprint         BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    status              TEXT    NOT NULL,
    version             INTEGER NOT NULL CHECK (version >= 1),
    -- Position of the last applied event of processing-service; 0 before the first.
    processing_sequence INTEGER NOT NULL CHECK (processing_sequence >= 0),
    -- orders.v1.Order with lines and total. Without the payment token (open_orders).
    body                BLOB    NOT NULL,
    rejection_reason    TEXT,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    CHECK ((status = 'REJECTED') = (rejection_reason IS NOT NULL)),
    -- The request id first: a client that generates UUIDv7 adds at the end of the index, however many orders are kept.
    UNIQUE (request_id, customer_id)
) STRICT;

-- For ListOrders, newest first: a UUIDv7 sorts by time.
CREATE INDEX orders_by_customer ON orders (customer_id, order_id);

-- Orders without a final state: one row from the placement to the final state, so that the oldest one is found without an
-- index on the state of `orders`.
CREATE TABLE open_orders (
    order_id      BLOB    NOT NULL PRIMARY KEY CHECK (length(order_id) = 16),
    created_at    INTEGER NOT NULL,
    -- A secret. The event of the order carries it, and an operator may have to publish that event again.
    payment_token TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Events that operators published again; a row is written in the transaction that writes the events to the outbox.
CREATE TABLE order_audit (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL CHECK (action = 'REPUBLISH'),
    order_id BLOB    NOT NULL CHECK (length(order_id) = 16),
    detail   TEXT    NOT NULL
) STRICT;

-- The history of each order, without gaps. WatchOrder replays it and auditors read it. Deleted with its order.
CREATE TABLE order_events (
    order_id         BLOB    NOT NULL REFERENCES orders (order_id) ON DELETE CASCADE,
    version          INTEGER NOT NULL CHECK (version >= 1),
    event_id         BLOB    NOT NULL CHECK (length(event_id) = 16),
    event_type       TEXT    NOT NULL,
    status           TEXT    NOT NULL,
    rejection_reason TEXT,
    occurred_at      INTEGER NOT NULL,
    -- The event of processing-service that caused the entry. NULL for a customer's action.
    cause_id         BLOB,
    PRIMARY KEY (order_id, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER order_events_are_not_changed BEFORE UPDATE ON order_events
BEGIN
    SELECT raise(ABORT, 'the history is append-only');
END;

-- The cascade runs after the order is gone.
CREATE TRIGGER order_events_are_not_deleted BEFORE DELETE ON order_events
WHEN EXISTS (SELECT 1 FROM orders WHERE order_id = OLD.order_id)
BEGIN
    SELECT raise(ABORT, 'the history is append-only');
END;
