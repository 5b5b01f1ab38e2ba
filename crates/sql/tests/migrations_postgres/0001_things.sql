CREATE TABLE things (content BYTEA);
