//! processing-service: takes accepted orders through reserve → capture → ship, or gives back what it took.
//!
//! A tour, in reading order:
//!
//! * [`config`] and [`app`]: the settings, and how the parts are put together, run and stopped;
//! * [`topics`]: the topics that it needs, and those that it creates;
//! * [`events`]: what is consumed, one file per event;
//! * [`steps`]: what follows from it, one file per step;
//! * [`domain`]: the rules that decide: the saga's table and the stock's arithmetic, pure;
//! * [`rpc`]: what is asked, not told: whether an order can be had, answered through [`stock_reader`];
//! * [`store`], [`payment`], [`catalogue`]: what the steps work with;
//! * [`operator`]: how an event that could not be handled is shown to a person;
//! * [`names`]: what telemetry calls all this, beside the names of the chassis;
//! * [`conversion`]: between the contract's messages and the domain.

pub mod app;
pub mod config;
pub mod topics;

pub mod events;
pub mod steps;

pub mod domain;

pub mod rpc;
pub mod stock_reader;

pub mod catalogue;
pub mod payment;
pub mod store;

pub mod operator;

pub mod names;

pub mod conversion;
