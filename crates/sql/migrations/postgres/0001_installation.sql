-- The owner of this database, written at the first migration. A service refuses a database with another owner.
CREATE TABLE installation (
    -- One row at most.
    id                 SMALLINT NOT NULL PRIMARY KEY CHECK (id = 1),
    service            TEXT     NOT NULL,
    -- The name of the installation: its KAFKA_TOPIC_PREFIX, empty by default.
    kafka_topic_prefix TEXT     NOT NULL
);
