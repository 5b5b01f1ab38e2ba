//! The API over a real connection, without Kafka: orders are accepted and confirmed all the same.

mod bare;
mod issuer;
mod line;
mod service;
mod shared_checks;
mod stock;

mod errors;
mod hostile;
mod orders;
mod ownership;
mod shutdown;

mod availability;
mod backlog;
mod deadlines;
mod overload;

mod outages;
mod replicas;
