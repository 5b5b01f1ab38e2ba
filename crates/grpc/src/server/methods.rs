//! The methods that a server offers, as its descriptors list them: a closed list, so that nothing a client invents can
//! become a label, and so that unary calls are told from streams before a method sees them.

use std::collections::HashMap;
use std::sync::Arc;

use prost::{DecodeError, Message};
use prost_types::FileDescriptorSet;

/// What is known of a method before it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodKind {
    /// One request, one response: it must answer soon.
    Unary,
    /// At least one side may go on sending for as long as it likes.
    Streaming,
}

/// The methods of a server by path, such as `/grpc.health.v1.Health/Check`; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Methods {
    by_path: Arc<HashMap<String, Method>>,
}

#[derive(Debug)]
struct Method {
    /// The path without its first slash.
    name: Arc<str>,
    kind: MethodKind,
}

impl Methods {
    /// The methods of all services in these encoded descriptor sets.
    ///
    /// # Errors
    /// When one of them is no descriptor set.
    pub(super) fn of(descriptor_sets: &[&[u8]]) -> Result<Self, DecodeError> {
        let mut by_path = HashMap::new();
        for encoded in descriptor_sets {
            add_methods(&FileDescriptorSet::decode(*encoded)?, &mut by_path);
        }
        Ok(Self {
            by_path: Arc::new(by_path),
        })
    }

    /// What the method at this path is; nothing if there is none.
    pub(super) fn kind(&self, path: &str) -> Option<MethodKind> {
        self.by_path.get(path).map(|method| method.kind)
    }

    /// The name of the method at this path, such as `grpc.health.v1.Health/Check`; nothing if there is none.
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
    fn descriptors_tell_streams_from_unary_calls_and_both_from_inventions() {
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
