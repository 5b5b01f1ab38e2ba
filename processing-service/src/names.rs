//! The telemetry names of this service, beside those of the crates.
//!
//! They are defined by this project: the semantic conventions cover calls, messages and databases, but not orders. The
//! reference page (docs/telemetry.md) and the registry (docs/telemetry/registry.yaml) are generated from these values.

pub mod attributes;
pub mod spans;
