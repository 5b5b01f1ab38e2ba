-- Orders and their history. Times are unix milliseconds, states are the names of
-- the contract without their prefix. The tables have the same meaning as on SQLite.

-- The current state, and the idempotency key (request_id, customer_id). Pruned in a final state after ORDER_RETENTION.
CREATE TABLE orders (
    order_id            UUID   NOT NULL PRIMARY KEY,
    -- ASCII by contract: byte comparison is correct, and cheaper than a linguistic collation.
    customer_id         TEXT   COLLATE "C" NOT NULL,
    request_id          UUID   NOT NULL,
    -- SHA-256 of the body: distinguishes a retry from another order under the same request_id.
    fingerprint         BYTEA  NOT NULL CHECK (length(fingerprint) = 32),
    status              TEXT   NOT NULL,
    version             BIGINT NOT NULL CHECK (version >= 1),
    -- Position of the last applied event of processing-service; 0 before the first.
    processing_sequence BIGINT NOT NULL CHECK (processing_sequence >= 0),
    -- orders.v1.Order with lines and total. Without the payment token (open_orders).
    body                BYTEA  NOT NULL,
    rejection_reason    TEXT,
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL,
    CHECK ((status = 'REJECTED') = (rejection_reason IS NOT NULL)),
    -- The request id first: a client that generates UUIDv7 adds at the end of the index, however many orders are kept.
    UNIQUE (request_id, customer_id)
    -- An order changes about three times, soon after it was placed: with free space on its page, updates are HOT and write
    -- no index. Half of the page: a batch of outcomes updates all orders of a page at once, and their old versions are only
    -- removed afterwards.
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- For ListOrders, newest first: a UUIDv7 sorts by time.
CREATE INDEX orders_by_customer ON orders (customer_id, order_id);

-- Orders without a final state: one row from the placement to the final state, so that the oldest one is found without an
-- index on the state of `orders`, which would end its HOT updates. Vacuumed like an outbox: rows live for a fraction of a
-- second.
CREATE TABLE open_orders (
    order_id      UUID   NOT NULL PRIMARY KEY,
    created_at    BIGINT NOT NULL,
    -- A secret. The event of the order carries it, and an operator may have to publish that event again.
    payment_token TEXT   COLLATE "C" NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);

-- Events that operators published again; a row is written in the transaction that writes the events to the outbox.
CREATE TABLE order_audit (
    id       BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       BIGINT NOT NULL,
    actor    TEXT   NOT NULL,
    action   TEXT   NOT NULL CHECK (action = 'REPUBLISH'),
    order_id UUID   NOT NULL,
    detail   TEXT   NOT NULL
);

-- The history of each order, without gaps. WatchOrder replays it and auditors read it. Deleted with its order. No foreign
-- key, unlike on SQLite: the check would look up and lock every new order once more, a fifth of the time of placing.
CREATE TABLE order_events (
    order_id         UUID   NOT NULL,
    version          BIGINT NOT NULL CHECK (version >= 1),
    event_id         UUID   NOT NULL,
    event_type       TEXT   NOT NULL,
    status           TEXT   NOT NULL,
    rejection_reason TEXT,
    occurred_at      BIGINT NOT NULL,
    -- The event of processing-service that caused the entry. NULL for a customer's action.
    cause_id         UUID,
    PRIMARY KEY (order_id, version)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Deleted by the trigger on orders: the order is gone.
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT 1 FROM orders WHERE order_id = OLD.order_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the history is append-only';
END;
$$;

CREATE TRIGGER order_events_are_not_changed BEFORE UPDATE OR DELETE ON order_events
    FOR EACH ROW EXECUTE FUNCTION refuse_to_change_history();

CREATE TRIGGER order_events_are_not_truncated BEFORE TRUNCATE ON order_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history();

CREATE FUNCTION delete_history_with_its_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM order_events USING gone WHERE order_events.order_id = gone.order_id;
    RETURN NULL;
END;
$$;

-- Once per statement: pruning deletes many orders at once.
CREATE TRIGGER orders_are_deleted_with_their_history AFTER DELETE ON orders
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION delete_history_with_its_order();
