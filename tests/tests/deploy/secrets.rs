//! The Secrets that the manifests refer to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::manifests::text;
use crate::stand_ins::CERTIFICATE;

/// The value of a key. The database passwords are those of `deploy/postgres/postgres.sql`.
pub(crate) fn value(name: &str, key: &str) -> String {
    match (name, key) {
        ("order-service-database", "password") => "order-development".to_owned(),
        ("processing-service-database", "password") => "processing-development".to_owned(),
        ("order-service-kafka" | "processing-service-kafka", "password") => "any".to_owned(),
        ("postgres-ca" | "kafka-ca" | "kafka-cluster-ca-cert", "ca.crt") => CERTIFICATE.0.clone(),
        _ => panic!("unknown Secret in the manifests: {name}, {key}"),
    }
}

/// The files of a Secret created by cert-manager.
pub(crate) fn certificate(name: &str) -> BTreeMap<String, String> {
    assert!(
        ["order-service-tls", "processing-service-tls"].contains(&name),
        "unknown Secret {name}"
    );
    let (certificate, key) = CERTIFICATE.clone();
    let files = [
        ("ca.crt", certificate.clone()),
        ("tls.crt", certificate),
        ("tls.key", key),
    ];
    files
        .map(|(name, content)| (name.to_owned(), content))
        .into()
}

/// The names of all Secrets in an object, at any depth.
pub(crate) fn referred_to(object: &Value) -> BTreeSet<String> {
    match object {
        Value::Array(values) => values.iter().flat_map(referred_to).collect(),
        Value::Object(fields) => {
            let kinds = ["secret", "secretKeyRef"].into_iter();
            let names = kinds.filter_map(|kind| Some(text(fields.get(kind)?.get("name")?)));
            names.chain(fields.values().flat_map(referred_to)).collect()
        }
        _ => BTreeSet::new(),
    }
}
