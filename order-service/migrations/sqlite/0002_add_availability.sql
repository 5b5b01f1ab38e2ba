-- Expand step of a change in two releases; see docs/migrations.md. The previous release writes without the column,
-- so it is nullable.

-- The result of the availability check, by its name in the contract without the prefix. NULL in rows of an older release,
-- which has no check.
ALTER TABLE orders ADD COLUMN availability TEXT;
