//! How a network plugin decides about a connection: network policies as Kubernetes defines them. IPv4 only, and without
//! `matchExpressions`, which the manifests do not use.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::manifests::{Manifests, Object, list, text};

pub(super) type Labels = BTreeMap<String, String>;

/// One end of a connection: a pod, or an address outside of the cluster.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    Pod { namespace: String, labels: Labels },
    Address(Ipv4Addr),
}

/// The policies of some kustomizations, and the labels of all namespaces.
pub(super) struct Network {
    policies: Vec<Object>,
    namespaces: BTreeMap<String, Labels>,
}

impl Network {
    pub(super) fn of(installed: &[&Manifests]) -> Self {
        let all = || installed.iter().flat_map(|manifests| manifests.all());
        let of_kind = |kind: &'static str| all().filter(move |object| object.kind() == kind);
        let labelled = |namespace: &Object| {
            let name = namespace.name().to_owned();
            (name, namespace.labels("/metadata/labels"))
        };
        Self {
            policies: of_kind("NetworkPolicy").cloned().collect(),
            namespaces: of_kind("Namespace").map(labelled).collect(),
        }
    }

    pub(super) fn with_namespace(mut self, name: &str, labels: &[(&str, &str)]) -> Self {
        self.namespaces.insert(name.to_owned(), owned(labels));
        self
    }

    pub(super) fn allows(&self, from: &Peer, to: &Peer, port: u64, protocol: &str) -> bool {
        let (from_side, to_side) = (("Egress", "egress", "to"), ("Ingress", "ingress", "from"));
        self.admits(from, to, from_side, (port, protocol))
            && self.admits(to, from, to_side, (port, protocol))
    }

    /// One side: the policy type, its rules, and the peers in a rule.
    fn admits(
        &self,
        own: &Peer,
        other: &Peer,
        (kind, rules, peers): (&str, &str, &str),
        port: (u64, &str),
    ) -> bool {
        let Peer::Pod { namespace, labels } = own else {
            return true;
        };
        let of_pod = |policy: &&Object| {
            let types = list(policy.find("/spec/policyTypes"));
            policy.text("/metadata/namespace") == namespace
                && types.iter().any(|it| it == kind)
                && selects(policy.at("/spec/podSelector"), labels)
        };
        let selecting: Vec<_> = self.policies.iter().filter(of_pod).collect();
        let admitting = |policy: &&Object| {
            let rules = list(policy.find(&format!("/spec/{rules}")));
            rules.iter().any(|rule| {
                let peers = list(rule.get(peers));
                has_port(rule, port)
                    && (peers.is_empty()
                        || peers
                            .iter()
                            .any(|peer| self.matches(peer, namespace, other)))
            })
        };
        selecting.is_empty() || selecting.iter().any(admitting)
    }

    fn matches(&self, peer: &Value, own_namespace: &str, other: &Peer) -> bool {
        match other {
            Peer::Address(address) => peer.get("ipBlock").is_some_and(|block| {
                assert_eq!(block.get("except"), None, "not evaluated here");
                contains(&text(&block["cidr"]), *address)
            }),
            Peer::Pod { namespace, labels } => {
                let in_namespace = match peer.get("namespaceSelector") {
                    Some(selector) => selects(selector, &self.labels_of(namespace)),
                    None => peer.get("podSelector").is_some() && namespace == own_namespace,
                };
                let pods = peer.get("podSelector");
                in_namespace && pods.is_none_or(|selector| selects(selector, labels))
            }
        }
    }

    /// With the label that Kubernetes adds.
    fn labels_of(&self, namespace: &str) -> Labels {
        let mut labels = self.namespaces.get(namespace).cloned().unwrap_or_default();
        let name = "kubernetes.io/metadata.name".to_owned();
        labels.insert(name, namespace.to_owned());
        labels
    }
}

fn selects(selector: &Value, labels: &Labels) -> bool {
    assert_eq!(selector.get("matchExpressions"), None, "not evaluated here");
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    wanted.into_iter().flatten().all(|(name, value)| {
        let own = labels.get(name).map(String::as_str);
        own == value.as_str()
    })
}

fn has_port(rule: &Value, (port, protocol): (u64, &str)) -> bool {
    let ports = list(rule.get("ports"));
    ports.is_empty()
        || ports.iter().any(|it| {
            it["port"] == port && it.get("protocol").map_or("TCP".to_owned(), text) == protocol
        })
}

/// Whether an IPv4 range has the address.
fn contains(range: &str, address: Ipv4Addr) -> bool {
    let (network, length) = range.split_once('/').unwrap();
    let network: Ipv4Addr = network.parse().unwrap();
    let length: u32 = length.parse().unwrap();
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    network.to_bits() & mask == address.to_bits() & mask
}

pub(super) fn owned(labels: &[(&str, &str)]) -> Labels {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    labels.iter().map(owned).collect()
}
