//! Databases, stores, orders and a payment provider for the tests.

pub(crate) mod database;
pub(crate) mod fixture;

pub(crate) mod counting_store;
pub(crate) mod desk;
