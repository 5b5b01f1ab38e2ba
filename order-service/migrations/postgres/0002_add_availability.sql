-- Expand step of a change in two releases; see docs/migrations.md. The previous release still writes without the column, so
-- it is nullable and has no default: PostgreSQL changes the catalogue only and rewrites no row.

-- ALTER TABLE takes a short ACCESS EXCLUSIVE lock. The wait for it is limited: statements queue behind a waiting ACCESS
-- EXCLUSIVE.
SET LOCAL lock_timeout = '2s';

-- The result of the availability check, by its name in the contract without the prefix. NULL in rows of an older release,
-- which has no check.
ALTER TABLE orders ADD COLUMN availability TEXT;
