-- Expand step of a change in two releases; see docs/migrations.md. The release before this one writes without the
-- column, so it is nullable.

-- What was known of the stock when the order was accepted, as the contract names it without its prefix. Null for what an
-- older release wrote: nobody asked.
ALTER TABLE orders ADD COLUMN availability TEXT;
