//! The rules of the store, on both engines: one rule, one test, against `dyn ProcessingStore`.

mod events;
mod failures;
mod retention;
mod sagas;
mod stock;

mod replicas;
