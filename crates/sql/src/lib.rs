//! The database of a service, SQLite or PostgreSQL, without knowledge of the service's tables.
//!
//! In reading order, each file uses only those before it: [`url`] names the engine; [`error`] classifies its errors;
//! [`columns`] converts values; [`migrations`] are one set per owner of tables; [`owner`] is the service that a database
//! belongs to; `sessions` knows which sessions of a pool are in doubt; [`statements`] gives each statement a span and a
//! duration; [`operation`] bounds and retries it.
//! [`sqlite`] and [`postgres`] are the two engines, [`database`] chooses one of them, migrates it and waits until it is
//! ready. [`group_commit`] commits the commands of many callers in one transaction;
//! [`retention`] deletes rows that have expired.

pub mod columns;
pub mod error;
pub mod migrations;
pub mod operation;
pub mod owner;
mod sessions;
pub mod statements;
pub mod url;

pub mod postgres;
pub mod sqlite;

pub mod database;
mod driver_environment;

pub mod group_commit;

pub mod retention;
