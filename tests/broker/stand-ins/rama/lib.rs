//! The core of rama: services and layers, without its clients and servers for HTTP, DNS and TCP.

pub use rama_core::{Context, Layer, Service, context, error, layer, matcher, service};
