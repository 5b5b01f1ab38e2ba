//! Parses a JSON Web Key Set (RFC 7517) into the keys that verify tokens.
//!
//! The key, not the token, decides the algorithm: the header of a token is controlled by its sender and only selects
//! among the keys. Only asymmetric algorithms are supported, so that a public key can never be used as a shared secret.
//! Unsuitable keys are skipped, as the RFC asks; a set with no other keys is invalid.

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Header};
use serde::Deserialize;
use thiserror::Error;

/// Limit of a key set in bytes. Those of large providers, with certificate chains, have about 20 KiB.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// Accepted RSA keys, which jsonwebtoken also verifies: 2,048 to 8,192 bits, in bytes.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;

/// Points on the curves in uncompressed form (SEC 1, section 2.3.3), and an Ed25519 key (RFC 8032), in bytes.
const P256_BYTES: usize = 65;
const P384_BYTES: usize = 97;
const ED25519_BYTES: usize = 32;

#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// A public key and the one algorithm that it verifies.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

#[derive(Debug, Error)]
pub(super) enum InvalidKeySet {
    /// Not JSON, or not a key set.
    #[error("not a JSON Web Key Set")]
    Malformed(#[from] serde_json::Error),
    /// No key can verify a signature.
    #[error(
        "no key is for signatures by RS256, PS256, ES256, ES384 or EdDSA, or they are too weak"
    )]
    NoUsableKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    ///
    /// # Errors
    /// [`InvalidKeySet`] if it has no usable key.
    pub(super) fn parse(text: &[u8]) -> Result<Self, InvalidKeySet> {
        let document: Document = serde_json::from_slice(text)?;
        let total = document.keys.len();
        let keys: Vec<Key> = document
            .keys
            .into_iter()
            .filter_map(|value| usable(&serde_json::from_value(value).ok()?))
            .collect();
        if keys.is_empty() {
            return Err(InvalidKeySet::NoUsableKey);
        }
        tracing::debug!(total, usable = keys.len(), "key set read");
        Ok(Self { keys })
    }

    /// The keys that may have signed a token with this header: several may have the same id, and none if the key of that id
    /// verifies another algorithm. `None`: the set has no key of that id; a newer set may.
    pub(super) fn candidates(&self, header: &Header) -> Option<Vec<&Key>> {
        let named: Vec<&Key> = match (&header.kid, self.keys.as_slice()) {
            (Some(_), keys) => keys.iter().filter(|key| key.id == header.kid).collect(),
            // Without an id the key must be unambiguous.
            (None, [only]) => vec![only],
            (None, _) => return Some(Vec::new()),
        };
        let is_known = !named.is_empty();
        let fitting = named.into_iter().filter(|key| key.algorithm == header.alg);
        is_known.then(|| fitting.collect())
    }
}

fn usable(jwk: &Jwk) -> Option<Key> {
    if !is_for_signatures(jwk) {
        return None;
    }
    let algorithm = algorithm(jwk)?;
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    is_well_sized(algorithm, &decoding).then(|| Key {
        id: jwk.common.key_id.clone(),
        algorithm,
        decoding,
    })
}

fn is_for_signatures(jwk: &Jwk) -> bool {
    let named_use = jwk.common.public_key_use.as_ref();
    let operations = jwk.common.key_operations.as_ref();
    named_use.is_none_or(|named| *named == PublicKeyUse::Signature)
        && operations.is_none_or(|named| named.contains(&KeyOperations::Verify))
}

/// The algorithm of a key: by its type, and by its `alg` if present.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    let named = jwk.common.key_algorithm;
    let (by_type, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) if named == Some(KeyAlgorithm::PS256) => {
            (Algorithm::PS256, KeyAlgorithm::PS256)
        }
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
            (Algorithm::ES384, KeyAlgorithm::ES384)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let agrees = named.is_none_or(|named| named == name);
    agrees.then_some(by_type)
}

fn is_well_sized(algorithm: Algorithm, key: &DecodingKey) -> bool {
    match (algorithm, key.kind()) {
        (Algorithm::RS256 | Algorithm::PS256, DecodingKeyKind::RsaModulusExponent { n, .. }) => {
            RSA_BYTES.contains(&n.len())
        }
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => point.len() == P256_BYTES,
        (Algorithm::ES384, DecodingKeyKind::SecretOrDer(point)) => point.len() == P384_BYTES,
        (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(key)) => key.len() == ED25519_BYTES,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::fixture::{Signer, key_set};

    fn parse(keys: &[Value]) -> Result<KeySet, InvalidKeySet> {
        KeySet::parse(&key_set(keys))
    }

    fn algorithms(set: &KeySet) -> Vec<Algorithm> {
        set.keys.iter().map(|key| key.algorithm).collect()
    }

    fn known(set: &KeySet, algorithm: Algorithm, id: Option<&str>) -> Option<usize> {
        let mut header = Header::new(algorithm);
        header.kid = id.map(str::to_owned);
        set.candidates(&header).map(|keys| keys.len())
    }

    #[test]
    fn every_key_verifies_the_one_algorithm_of_its_type() {
        let rsa = Signer::rsa("r").jwk();
        let mut pss = rsa.clone();
        pss["alg"] = json!("PS256");
        let (p256, p384, ed) = (Signer::es256("a"), Signer::es384("b"), Signer::eddsa("c"));

        let set = parse(&[rsa, pss, p256.jwk(), p384.jwk(), ed.jwk()]).unwrap();

        let expected = [
            Algorithm::RS256,
            Algorithm::PS256,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA,
        ];
        assert_eq!(algorithms(&set), expected);
    }

    #[test]
    fn the_algorithm_may_be_left_out_but_not_contradict_the_type() {
        let mut silent = Signer::es256("a").jwk();
        silent.as_object_mut().unwrap().remove("alg");
        let mut contradicting = Signer::es256("b").jwk();
        contradicting["alg"] = json!("HS256");

        let set = parse(&[silent, contradicting]).unwrap();

        assert_eq!(algorithms(&set), [Algorithm::ES256]);
    }

    #[test]
    fn keys_for_anything_but_verifying_are_left_out() {
        let mut encrypting = Signer::es256("a").jwk();
        encrypting["use"] = json!("enc");
        let mut deriving = Signer::es256("b").jwk();
        deriving["key_ops"] = json!(["deriveKey"]);
        let secret = json!({"kty": "oct", "alg": "HS256", "kid": "c", "k": "c2VjcmV0"});
        let unknown = json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "d", "pub": "AA"});

        let refused = parse(&[encrypting, deriving, secret, unknown, json!(7)]);

        assert!(matches!(refused, Err(InvalidKeySet::NoUsableKey)));
    }

    #[test]
    fn a_key_of_another_size_than_its_type_has_is_left_out() {
        let mut short = Signer::es256("a").jwk();
        short["x"] = json!("AAAA");
        let weak =
            json!({"kty": "RSA", "alg": "RS256", "kid": "b", "n": "sXchDaQebHnP", "e": "AQAB"});

        let refused = parse(&[short, weak]);

        assert!(matches!(refused, Err(InvalidKeySet::NoUsableKey)));
    }

    #[test]
    fn an_invalid_key_set_is_rejected() {
        for text in ["", "keys", "[]", "{}", r#"{"keys": {}}"#] {
            let refused = KeySet::parse(text.as_bytes());
            assert!(
                matches!(refused, Err(InvalidKeySet::Malformed(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_token_without_a_key_id_matches_only_a_single_key() {
        let one = parse(&[Signer::es256("a").jwk()]).unwrap();
        let two = parse(&[Signer::es256("a").jwk(), Signer::eddsa("b").jwk()]).unwrap();

        assert_eq!(known(&one, Algorithm::ES256, None), Some(1));
        assert_eq!(known(&two, Algorithm::ES256, None), Some(0));
    }

    #[test]
    fn keys_with_the_same_id_are_selected_by_algorithm_and_all_tried() {
        let (old, new, other) = (Signer::es256("a"), Signer::es256("a"), Signer::eddsa("a"));

        let set = parse(&[old.jwk(), new.jwk(), other.jwk()]).unwrap();

        assert_eq!(known(&set, Algorithm::ES256, Some("a")), Some(2));
        assert_eq!(known(&set, Algorithm::EdDSA, Some("a")), Some(1));
        assert_eq!(known(&set, Algorithm::HS256, Some("a")), Some(0));
        assert_eq!(known(&set, Algorithm::ES256, Some("b")), None);
    }
}
