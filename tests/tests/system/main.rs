//! The promises of the pair, tested on real processes: each test has a broker, a database and both services of its own,
//! on the engines that `TEST_ENGINES` names.
//!
//! One binary for all of them, because linking one takes longer than running it.

mod cancellation;
mod crashes;
mod database_outages;
mod dead_letters;
mod events;
mod hostile_input;
mod idempotency;
mod local_stack;
mod not_ready;
mod outages;
mod poison;
mod reading;
mod rejection;
mod replicas;
mod shutdown;
mod telemetry;
