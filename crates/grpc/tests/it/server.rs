//! The server over real connections, with TLS and without.

mod certificates;
mod peer_service;
mod running_server;

mod connections;
mod health;
mod hostile;
mod probe;
mod renewal;
mod telemetry;
mod tls;
