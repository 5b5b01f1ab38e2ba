//! The promises of the pair, tested on real processes: each test has a broker and both services of its own.
//!
//! One binary for all of them, because linking one takes longer than running it.

mod cancellation;
mod crashes;
mod events;
mod hostile_input;
mod idempotency;
mod local_stack;
mod outages;
mod poison;
mod reading;
mod rejection;
mod shutdown;
mod telemetry;
