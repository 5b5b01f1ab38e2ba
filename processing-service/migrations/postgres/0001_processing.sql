-- The same tables and columns as on SQLite, so that the auditor reads both alike.

-- Stock in pieces. Each piece is either available, reserved for an order, or shipped.
-- SKUs compare by byte: transactions lock rows in SKU order, which must not depend on a locale.
-- A hot row is updated many times per second: free space keeps its old versions on the same page (HOT updates).
CREATE TABLE stock (
    sku       TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    name      TEXT   NOT NULL,
    opening   BIGINT NOT NULL CHECK (opening >= 0),
    available BIGINT NOT NULL CHECK (available >= 0),
    reserved  BIGINT NOT NULL CHECK (reserved >= 0),
    shipped   BIGINT NOT NULL CHECK (shipped >= 0),
    CHECK (opening = available + reserved + shipped)
) WITH (fillfactor = 30);

-- The saga of each order. Pruned in a final state after SAGA_RETENTION, with its payment and shipment. `lines` is an orders.v1.OrderPlaced that holds only the pieces per SKU.
-- A row is updated when the saga ends, soon after its insertion: free space keeps it on its page (HOT updates).
CREATE TABLE sagas (
    order_id      UUID   NOT NULL PRIMARY KEY,
    state         TEXT   NOT NULL CHECK (state IN ('RESERVED', 'CAPTURED', 'COMPENSATING', 'FULFILLED', 'REJECTED', 'CANCELLED')),
    -- The reason of a rejection; set already while compensation is in progress.
    reason        TEXT   CHECK (reason IN ('UNKNOWN_SKU', 'OUT_OF_STOCK', 'PAYMENT_DECLINED', 'PAYMENT_UNAVAILABLE')),
    -- Number of the next published event of the order, from 1.
    next_sequence BIGINT NOT NULL CHECK (next_sequence >= 1),
    lines         BYTEA  NOT NULL,
    updated_at    BIGINT NOT NULL -- unix milliseconds
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- Captures confirmed by the payment provider, at most one per order. Deleted with its saga, whose row is locked or new in the
-- transaction that inserts the payment. No foreign key, unlike on SQLite: the check would look up and lock every saga once
-- more; for payment and shipment that is a fifth of the time of writing the steps of an order.
CREATE TABLE payments (
    order_id    UUID   NOT NULL PRIMARY KEY,
    capture_id  TEXT   NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('CAPTURED', 'REFUNDED')),
    currency    TEXT   NOT NULL,
    minor_units BIGINT NOT NULL CHECK (minor_units > 0),
    updated_at  BIGINT NOT NULL -- unix milliseconds
);

-- At most one shipment per order. Deleted with its saga; without a foreign key, as payments.
CREATE TABLE shipments (
    order_id    UUID   NOT NULL PRIMARY KEY,
    shipment_id TEXT   NOT NULL,
    created_at  BIGINT NOT NULL -- unix milliseconds
);

CREATE FUNCTION delete_payment_and_shipment_with_their_saga() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM payments USING gone WHERE payments.order_id = gone.order_id;
    DELETE FROM shipments USING gone WHERE shipments.order_id = gone.order_id;
    RETURN NULL;
END;
$$;

-- Once per statement: pruning deletes many sagas at once.
CREATE TRIGGER sagas_are_deleted_with_payment_and_shipment AFTER DELETE ON sagas
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION delete_payment_and_shipment_with_their_saga();
