-- The files that the auditor reads, and the protobuf columns of the databases, decoded. Ids are 16 bytes, as in the
-- databases. `lines` is a JSON array of [sku, quantity, price], `pieces` one of [sku, pieces] in SKU order.

-- Every call of PlaceOrder in the journal. The outcome is ok, refused or unknown.
CREATE TEMP TABLE place_calls (
    line, request_id, customer_id, invoice, lines, currency, total, outcome
);
-- The confirmed ones, with the order id that the client received.
CREATE TEMP TABLE confirmed (
    order_id, request_id, customer_id, invoice, lines, currency, total
);
-- Every call of CancelOrder in the journal.
CREATE TEMP TABLE cancellations (line, order_id, outcome);
-- Ends of calls without a start in the journal.
CREATE TEMP TABLE unmatched_ends (line, call);

-- The client's reads, including confirmations and answers. `last_version` is 0 for an order that was not found; `whole`
-- means that the read returned everything, so that no version known before may be missing.
CREATE TEMP TABLE reads (line, order_id, kind, begun, ended, first_version, last_version, whole, to_the_end);
CREATE TEMP TABLE seen (line, order_id, version, event_type, status, reason);

CREATE TEMP TABLE order_bodies (order_id, lines, pieces, currency, total);
CREATE TEMP TABLE saga_bodies (order_id, pieces);

-- Every record of every topic. `fault` is the reason why it is not an event of the contract; `event_type` is the name
-- of its message, NULL for a type that this contract does not know. `place` is TOPIC/PARTITION@OFFSET.
CREATE TEMP TABLE records (
    topic, partition, position, place, key, payload, fault, event_id, order_id, sequence, event_type,
    lines, currency, amount, reason, origin_topic, origin_partition, origin_position
);
CREATE TEMP TABLE partitions (topic, partition, low, end_position);
-- Records that the broker deleted before their group had read them: from `position` to before `end_position`.
CREATE TEMP TABLE deleted_unread (topic, partition, position, end_position);
CREATE TEMP TABLE committed (consumer, topic, partition, position);

-- The events in the retry stores of both services.
CREATE TEMP TABLE retry_events (
    service, topic, partition, position, place, key, order_id, state, fault_class, fault_message
);
