-- One-time setup by a database administrator: a role and a database per service, without access for other roles.
-- The passwords are for development.

CREATE ROLE order_service LOGIN PASSWORD 'order-development';
CREATE DATABASE orders OWNER order_service;
REVOKE CONNECT ON DATABASE orders FROM PUBLIC;

CREATE ROLE processing_service LOGIN PASSWORD 'processing-development';
CREATE DATABASE processing OWNER processing_service;
REVOKE CONNECT ON DATABASE processing FROM PUBLIC;
