-- Tables derived from the evidence. The rules look rows up by order and by event.
CREATE INDEX temp.place_calls_by_request ON place_calls (request_id, customer_id);
CREATE INDEX temp.confirmed_by_order ON confirmed (order_id);
CREATE INDEX temp.cancellations_by_order ON cancellations (order_id);
CREATE INDEX temp.reads_by_order ON reads (order_id, ended);
CREATE INDEX temp.seen_by_order ON seen (order_id, version);
CREATE INDEX temp.order_bodies_by_order ON order_bodies (order_id);
CREATE INDEX temp.saga_bodies_by_order ON saga_bodies (order_id);
CREATE INDEX temp.records_by_place ON records (topic, partition, position);
CREATE INDEX temp.records_by_origin ON records (origin_topic, origin_partition, origin_position);
CREATE INDEX temp.retry_events_by_order ON retry_events (order_id);
CREATE INDEX temp.retry_events_by_place ON retry_events (topic, partition, position);

-- The history entries with the topic of their event: published by order-service, or consumed by it.
CREATE TEMP TABLE entries AS
SELECT event_id, order_id, version, event_type,
       CASE WHEN event_type IN ('OrderPlaced', 'CancellationRequested') THEN 'orders.order.events.v1'
            ELSE 'processing.order.events.v1' END AS topic
FROM main.order_events;
CREATE INDEX temp.entries_by_event ON entries (event_id);

-- The distinct events of the event topics, each at its first position. (SQLite takes the other columns from the row with
-- the minimum.)
CREATE TEMP TABLE events AS
SELECT topic, event_id, order_id, sequence, event_type, lines, currency, amount, reason,
       min(position) AS position, partition, place, count(*) AS copies
FROM records
WHERE event_id IS NOT NULL AND topic IN ('orders.order.events.v1', 'processing.order.events.v1')
GROUP BY topic, event_id;
CREATE INDEX temp.events_by_id ON events (event_id);
CREATE INDEX temp.events_by_order ON events (order_id, topic);

-- Events in an outbox; their key is the order id.
CREATE TEMP TABLE waiting AS
SELECT 'order-service' AS service, unhex(replace(key, '-', '')) AS order_id FROM main.outbox
UNION ALL SELECT 'processing-service', unhex(replace(key, '-', '')) FROM processing.outbox;
CREATE INDEX temp.waiting_by_order ON waiting (order_id);

-- Orders with events in a retry store. A dead letter alone is no proof: it may have been redriven since.
CREATE TEMP TABLE orders_in_retry_store AS
SELECT order_id, 'in the retry store of ' || service || ' as ' || state AS how, place FROM temp.retry_events
WHERE order_id IS NOT NULL;
CREATE INDEX temp.retry_store_by_order ON orders_in_retry_store (order_id);

-- Orders that are not final or are missing, and the last place where each was found.
CREATE TEMP TABLE outstanding AS
SELECT known.order_id,
    EXISTS (SELECT 1 FROM orders_in_retry_store WHERE orders_in_retry_store.order_id = known.order_id) AS is_in_retry_store,
    CASE
        WHEN orders.order_id IS NULL AND placed.event_id IS NULL
            THEN 'it is not in the database of order-service'
        WHEN orders.order_id IS NULL
            THEN 'it is not in the database of order-service, though its event is on the topic'
        WHEN EXISTS (SELECT 1 FROM orders_in_retry_store WHERE orders_in_retry_store.order_id = known.order_id)
            THEN (SELECT 'its event is ' || how FROM orders_in_retry_store WHERE orders_in_retry_store.order_id = known.order_id)
        WHEN placed.event_id IS NULL
            AND 'order-service' IN (SELECT service FROM waiting WHERE waiting.order_id = known.order_id)
            THEN 'its event waits in the outbox of order-service'
        WHEN placed.event_id IS NULL THEN 'its event is not on the topic'
        WHEN sagas.order_id IS NULL THEN 'its event is on the topic, but there is no saga'
        WHEN sagas.state NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED')
            THEN 'its saga is stuck at ' || sagas.state
        WHEN outcome.event_id IS NULL
            AND 'processing-service' IN (SELECT service FROM waiting WHERE waiting.order_id = known.order_id)
            THEN 'its outcome waits in the outbox of processing-service'
        WHEN outcome.event_id IS NULL THEN 'its saga has ended, but its outcome is not on the topic'
        ELSE 'its outcome ' || outcome.event_type || ' is published but not applied'
    END AS last_place,
    -- The last record of the order.
    coalesce(
        (SELECT place FROM orders_in_retry_store WHERE orders_in_retry_store.order_id = known.order_id),
        CASE WHEN orders.order_id IS NOT NULL AND sagas.state IN ('FULFILLED', 'REJECTED', 'CANCELLED') THEN outcome.place END,
        placed.place
    ) AS place
FROM (SELECT order_id FROM confirmed UNION SELECT order_id FROM main.orders) AS known
LEFT JOIN main.orders ON orders.order_id = known.order_id
LEFT JOIN processing.sagas ON sagas.order_id = known.order_id
LEFT JOIN events AS placed ON placed.order_id = known.order_id AND placed.topic = 'orders.order.events.v1'
    AND placed.event_type = 'OrderPlaced'
LEFT JOIN events AS outcome ON outcome.order_id = known.order_id AND outcome.topic = 'processing.order.events.v1'
    AND outcome.event_type IN ('OrderFulfilled', 'OrderRejected', 'OrderCancelled')
WHERE orders.status IS NULL OR orders.status NOT IN ('FULFILLED', 'REJECTED', 'CANCELLED')
GROUP BY known.order_id;
CREATE INDEX temp.outstanding_by_order ON outstanding (order_id);
