//! Keys of an issuer and signed tokens, for tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, RsaKeySize, SignatureAlgorithm};
use serde_json::{Value, json};

use super::{AuthConfig, JwksSource};

pub(super) const AUDIENCE: &str = "orders";
pub(super) const ISSUER: &str = "https://issuer.example";

/// Length of the PKCS #8 prefix of an RSA key of 2,048 bits; jsonwebtoken needs the key without it.
const PKCS8_RSA_PREFIX: usize = 26;

/// A private key with its id.
pub(super) struct Signer {
    id: String,
    key: EncodingKey,
    algorithm: Algorithm,
    public: Vec<u8>,
}

impl Signer {
    pub(super) fn es256(id: &str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        Self::new(id, &pair, key, Algorithm::ES256)
    }

    pub(super) fn es384(id: &str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        Self::new(id, &pair, key, Algorithm::ES384)
    }

    pub(super) fn eddsa(id: &str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let key = EncodingKey::from_ed_der(pair.serialized_der());
        Self::new(id, &pair, key, Algorithm::EdDSA)
    }

    pub(super) fn rsa(id: &str) -> Self {
        let algorithm: &'static SignatureAlgorithm = &rcgen::PKCS_RSA_SHA256;
        let pair = KeyPair::generate_rsa_for(algorithm, RsaKeySize::_2048).unwrap();
        let key = EncodingKey::from_rsa_der(&pair.serialized_der()[PKCS8_RSA_PREFIX..]);
        Self::new(id, &pair, key, Algorithm::RS256)
    }

    fn new(id: &str, pair: &KeyPair, key: EncodingKey, algorithm: Algorithm) -> Self {
        Self {
            id: id.to_owned(),
            key,
            algorithm,
            public: pair.public_key_raw().to_vec(),
        }
    }

    /// The public key as an issuer publishes it.
    pub(super) fn jwk(&self) -> Value {
        if self.algorithm == Algorithm::EdDSA {
            let x = URL_SAFE_NO_PAD.encode(&self.public);
            return json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": self.id, "x": x});
        }
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).unwrap()
    }

    /// The public key as bytes.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(super) fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        header
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    pub(super) fn sign_as(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).unwrap()
    }
}

/// Claims that are valid for five minutes.
pub(super) fn claims(customer: &str) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": customer, "exp": in_seconds(300)})
}

/// Unix time.
pub(super) fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().cast_signed() + seconds
}

/// The JWKS document.
pub(super) fn key_set(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

pub(super) fn config(jwks: JwksSource) -> AuthConfig {
    AuthConfig {
        jwks,
        audience: AUDIENCE.to_owned(),
        issuer: ISSUER.to_owned(),
        clock_skew: Duration::from_secs(30),
        operator_role: "operator".to_owned(),
    }
}
