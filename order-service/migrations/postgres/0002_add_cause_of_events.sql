-- Expand step of a change in two releases; see docs/migrations.md. The release before this one goes on writing without
-- the column, so it is nullable and has no default: PostgreSQL changes the catalogue and touches no row.

-- The lock excludes everybody for a moment. It is not waited for longer than this: whoever comes behind a waiting
-- ACCESS EXCLUSIVE waits as well.
SET LOCAL lock_timeout = '2s';

-- The event of processing that caused the entry. Null for what a customer did, and for what an older release wrote.
ALTER TABLE order_events ADD COLUMN cause_id UUID;
