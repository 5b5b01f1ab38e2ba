//! Every name that telemetry of the chassis uses, once. A service has its own names beside it, in its module `names`.
//!
//! Names of the semantic conventions are taken from the crate that is generated from them, so they cannot be misspelt;
//! that crate is of version 1.42 of the conventions. The others are this project's own. The reference page
//! (docs/telemetry.md) and the registry (docs/telemetry/registry.yaml) are written from these values.

pub mod attributes;
pub mod metrics;
pub mod spans;
