//! The guarantees of the pair, tested on real processes: each test has its own database and services and a broker to
//! itself, on the engines in `TEST_ENGINES`.
//!
//! One binary for all of them, because linking takes longer than running.

mod availability;
mod bare;
mod cancellation;
mod cascade;
mod changed_topics;
mod chaos;
mod costs;
mod crash_points;
mod crashes;
mod database_outages;
mod dead_letters;
mod deleted_records;
mod delivery;
mod events;
mod exported;
mod failover;
mod full_disk;
mod hostile_connections;
mod hostile_input;
mod idempotency;
mod installations;
mod live_page;
mod load_test;
mod local_stack;
mod locked_database;
mod not_ready;
mod one_trace;
mod outages;
mod poison;
mod process_order;
mod reading;
mod rejection;
mod replicas;
mod retention;
mod rolling_restart;
mod secrets;
mod shutdown;
mod strange_records;
mod switched_off;
mod telemetry;
mod uneven_load;
