-- Since when this event blocks its key: the broker refuses it permanently. Set by the relay; gone with the row.
ALTER TABLE outbox ADD COLUMN blocked_at TIMESTAMPTZ;
CREATE INDEX outbox_blocked ON outbox (key) WHERE blocked_at IS NOT NULL;
