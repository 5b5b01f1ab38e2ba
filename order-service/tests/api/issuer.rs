//! A token issuer with its keys in a file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Request;

use super::service::Service;

/// A service that believes one issuer, and that issuer.
pub(crate) struct Guarded {
    pub(crate) service: Service,
    key: EncodingKey,
    _directory: TempDir,
}

impl Guarded {
    /// Starts with these settings on top.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        std::fs::write(&path, json!({ "keys": [jwk] }).to_string()).unwrap();

        let mut all = vec![
            ("AUTH_JWKS", path.to_str().unwrap()),
            ("AUTH_AUDIENCE", "orders"),
            ("AUTH_ISSUER", "https://issuer.example"),
        ];
        all.extend_from_slice(settings);
        Self {
            service: Service::start_with(&all).await,
            key,
            _directory: directory,
        }
    }

    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A call by this customer.
    pub(crate) fn by<T>(&self, customer: &str, message: T) -> Request<T> {
        self.with_token(&json!({ "sub": customer }), message)
    }

    /// A call by an unrestricted caller.
    pub(crate) fn by_operator<T>(&self, message: T) -> Request<T> {
        self.with_token(&json!({ "sub": "ada", "roles": ["operator"] }), message)
    }

    fn with_token<T>(&self, claims: &Value, message: T) -> Request<T> {
        let in_an_hour = SystemTime::now() + Duration::from_secs(3_600);
        let mut claims = claims.clone();
        claims["iss"] = json!("https://issuer.example");
        claims["aud"] = json!("orders");
        claims["exp"] = json!(in_an_hour.duration_since(UNIX_EPOCH).unwrap().as_secs());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key);
        let bearer = format!("Bearer {}", token.unwrap());
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("authorization", bearer.parse().unwrap());
        request
    }
}
