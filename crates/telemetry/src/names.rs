//! All telemetry names of the shared crates, each defined once. A service defines its own in its module `names`.
//!
//! Names of the semantic conventions come from the crate generated from them (version 1.42), so they cannot be misspelt.
//! The other names are defined by this project. The reference page (docs/telemetry.md) and the registry
//! (docs/telemetry/registry.yaml) are generated from these values.

pub mod attributes;
pub mod metrics;
pub mod spans;
