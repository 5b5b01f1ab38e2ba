-- Expand step of a change in two releases; see docs/migrations.md. The release before this one writes without the
-- column, so it is nullable.

-- The event of processing that caused the entry. Null for what a customer did, and for what an older release wrote.
ALTER TABLE order_events ADD COLUMN cause_id BLOB CHECK (cause_id IS NULL OR length(cause_id) = 16);
