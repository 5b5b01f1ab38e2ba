//! The methods of a server, from its descriptors. The list is closed, so that a client cannot create metric labels, and
//! it tells unary calls from streams before they are dispatched.

use std::collections::HashMap;
use std::sync::Arc;

use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodKind {
    /// One request, one response.
    Unary,
    /// At least one side sends a stream.
    Streaming,
}

/// Methods by path, such as `/grpc.health.v1.Health/Check`; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Methods {
    by_path: Arc<HashMap<String, Method>>,
}

#[derive(Debug)]
struct Method {
    /// The path without its leading slash.
    name: Arc<str>,
    kind: MethodKind,
}

impl Methods {
    /// All methods of these encoded descriptor sets.
    ///
    /// # Errors
    /// If one of them cannot be decoded.
    pub(super) fn of(descriptor_sets: &[&[u8]]) -> Result<Self, DecodeError> {
        let mut by_path = HashMap::new();
        for encoded in descriptor_sets {
            add_methods(&FileDescriptorSet::decode(*encoded)?, &mut by_path);
        }
        Ok(Self {
            by_path: Arc::new(by_path),
        })
    }

    /// `None` for an unknown method.
    pub(super) fn kind(&self, path: &str) -> Option<MethodKind> {
        self.by_path.get(path).map(|method| method.kind)
    }

    /// Name such as `grpc.health.v1.Health/Check`; `None` for an unknown method.
    pub(super) fn name(&self, path: &str) -> Option<&Arc<str>> {
        self.by_path.get(path).map(|method| &method.name)
    }
}

fn add_methods(set: &FileDescriptorSet, by_path: &mut HashMap<String, Method>) {
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let streams = method.client_streaming() || method.server_streaming();
                let kind = if streams {
                    MethodKind::Streaming
                } else {
                    MethodKind::Unary
                };
                let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                let name = Arc::from(name);
                by_path.insert(format!("/{name}"), Method { name, kind });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_tell_streams_unary_calls_and_unknown_methods_apart() {
        let methods = Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap();

        let kind = |path| methods.kind(path);
        assert_eq!(
            kind("/grpc.health.v1.Health/Check"),
            Some(MethodKind::Unary)
        );
        assert_eq!(
            kind("/grpc.health.v1.Health/Watch"),
            Some(MethodKind::Streaming)
        );
        assert_eq!(kind("/grpc.health.v1.Health/Invented"), None);
        let name = methods.name("/grpc.health.v1.Health/Check").unwrap();
        assert_eq!(&**name, "grpc.health.v1.Health/Check");
    }
}
