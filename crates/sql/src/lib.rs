//! A service's database, on SQLite or PostgreSQL: opened, migrated, waited for, observed; and [`group_commit`].
//!
//! Knows no table of a service.

pub mod database;
pub mod error;
pub mod migrations;

pub mod postgres;
pub mod sqlite;
pub mod url;

pub mod group_commit;
