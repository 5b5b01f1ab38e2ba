//! processing-service: takes accepted orders through reserve → capture → ship, or compensates and rejects them.
//!
//! A tour, in reading order:
//!
//! * [`config`] and [`app`]: the settings; wiring, start and stop;
//! * [`topics`]: the topics that it needs, and those that it creates;
//! * [`retention`]: how long rows are kept;
//! * [`events`]: the consumed events, one file each;
//! * [`steps`]: the steps of an order, one file each;
//! * [`domain`]: the rules, pure: the saga's transition table and the stock arithmetic;
//! * [`rpc`]: the availability query, answered through [`stock_reader`];
//! * [`store`], [`payment`], [`catalogue`]: the dependencies of the steps;
//! * [`operator`]: how a dead letter is shown to an operator;
//! * [`names`]: spans and attributes of this service, beside those of the crates;
//! * [`conversion`]: from the contract's messages to the domain and back.

pub mod app;
pub mod config;
pub mod retention;
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

/// What `--version` prints, and `service.version` of telemetry. deploy/Dockerfile sets `RELEASE`.
pub const VERSION: &str = service::version(option_env!("RELEASE"), env!("CARGO_PKG_VERSION"));
