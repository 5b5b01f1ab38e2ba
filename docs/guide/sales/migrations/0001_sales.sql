-- The lines of accepted orders.
CREATE TABLE placed_lines (
    order_id    BLOB    NOT NULL,
    sku         TEXT    NOT NULL,
    quantity    INTEGER NOT NULL,
    currency    TEXT    NOT NULL,
    minor_units INTEGER NOT NULL
) STRICT;
CREATE INDEX placed_lines_by_order ON placed_lines (order_id);

-- Orders that ended before their lines arrived: the two topics have no order between them. No day, no sale.
CREATE TABLE ended_orders (
    order_id BLOB NOT NULL,
    day      TEXT
) STRICT;
CREATE INDEX ended_orders_by_order ON ended_orders (order_id);

-- What was sold, by the day (UTC) on which the order was fulfilled. The only table that a query reads.
CREATE TABLE sales (
    day         TEXT    NOT NULL,
    sku         TEXT    NOT NULL,
    currency    TEXT    NOT NULL,
    quantity    INTEGER NOT NULL,
    minor_units INTEGER NOT NULL,
    PRIMARY KEY (day, sku, currency)
) STRICT, WITHOUT ROWID;
