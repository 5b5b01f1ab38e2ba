-- Expand step of a change in two releases; see docs/migrations.md. The release before this one goes on writing without
-- the column, so it is nullable and has no default: PostgreSQL changes the catalogue and touches no row.

-- The lock excludes everybody for a moment. It is not waited for longer than this: whoever comes behind a waiting
-- ACCESS EXCLUSIVE waits as well.
SET LOCAL lock_timeout = '2s';

-- What was known of the stock when the order was accepted, as the contract names it without its prefix. Null for what an
-- older release wrote: nobody asked.
ALTER TABLE orders ADD COLUMN availability TEXT;
