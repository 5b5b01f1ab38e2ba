CREATE TABLE things (thing BLOB);
