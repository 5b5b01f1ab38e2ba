//! Every name that telemetry of this service uses beside those of the chassis, once.
//!
//! They are this project's own: the semantic conventions know calls, messages and databases, and no orders. The
//! reference page (docs/telemetry.md) and the registry (docs/telemetry/registry.yaml) are written from these values.

pub mod attributes;
pub mod spans;
