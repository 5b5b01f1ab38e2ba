CREATE TABLE things (thing TEXT);
