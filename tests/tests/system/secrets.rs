//! No secret is printed: not by `--help`, not in configuration errors, and not in a log at any level.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tests::system::{CUSTOMER, Draft, Service, System, run_to_end};
use tonic::{Code, Request};

const SECRET: &str = "planted_7b1d90c4";

/// All secret settings of the services, with invalid values.
const SETTINGS: [(&str, &str); 8] = [
    (
        "DATABASE_URL",
        "postgres://orders:planted_7b1d90c4@nowhere:port/orders",
    ),
    ("PGPASSWORD", "planted_7b1d90c4"),
    ("KAFKA_SECURITY_PROTOCOL", "sasl_nonsense"),
    ("KAFKA_SASL_USERNAME", ""),
    ("KAFKA_SASL_PASSWORD", "planted_7b1d90c4"),
    (
        "AUTH_JWKS",
        "ftp://user:planted_7b1d90c4@issuer.example/keys",
    ),
    (
        "PROCESSING_ADDRESS",
        "http://user:planted_7b1d90c4@processing:port",
    ),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "ftp://user:planted_7b1d90c4@collector",
    ),
];

#[tokio::test]
async fn neither_help_nor_configuration_errors_show_a_secret() -> Result<()> {
    for service in Service::PAIR {
        for (arguments, code) in [(&["--help"][..], 0), (&[], 78), (&["migrate"], 78)] {
            let output = run_to_end(service, arguments, &SETTINGS).await?;

            let said = String::from_utf8([output.stdout, output.stderr].concat())?;
            assert_eq!(output.status.code(), Some(code), "{service}: {said}");
            assert!(said.contains("DATABASE_URL"), "{service}: {said}");
            assert!(!said.contains(SECRET), "{service} {arguments:?}: {said}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_logged_at_any_level() -> Result<()> {
    const PAYMENT_TOKEN: &str = "tok_planted_7b1d90c4";
    let directory = tempfile::tempdir()?;
    let issuer = Issuer::new(directory.path())?;
    let jwks = issuer.jwks.display().to_string();
    let everything = |service| (service, "LOG_FILTER", "trace");
    let system = System::start_with(&[
        (Service::Orders, "AUTH_JWKS", &jwks),
        (Service::Orders, "AUTH_AUDIENCE", "orders"),
        (Service::Orders, "AUTH_ISSUER", ISSUER),
        everything(Service::Orders),
        everything(Service::Processing),
    ])
    .await?;
    let good = issuer.token(CUSTOMER)?;
    let foreign = Issuer::new(tempfile::tempdir()?.path())?.token(CUSTOMER)?;

    let draft = Draft::of("MUG", 1).paid_with(PAYMENT_TOKEN);
    let mut placed = Vec::new();
    for token in [&good, &foreign] {
        let mut request = Request::new(draft.request());
        let bearer = format!("Bearer {token}").parse()?;
        request.metadata_mut().insert("authorization", bearer);
        placed.push(system.client().place_order(request).await);
    }

    assert!(placed[0].is_ok(), "{placed:?}");
    let refused = placed[1].as_ref().err().map(tonic::Status::code);
    assert_eq!(refused, Some(Code::Unauthenticated));
    system.audit().await?;
    let logs = system.log(Service::Orders)? + &system.log(Service::Processing)?;
    assert!(logs.contains("\"TRACE\""), "everything is logged");
    for token in [&good, &foreign] {
        // The last part of the token is the signature, which makes it usable; the middle part names the customer.
        for part in token.split('.').skip(1) {
            assert!(!logs.contains(part), "a log has a part of a token");
        }
    }
    assert!(!logs.contains(PAYMENT_TOKEN), "a log has a payment token");
    system.finish().await
}

pub(crate) const ISSUER: &str = "https://issuer.example";

/// A token issuer with its keys in a file.
pub(crate) struct Issuer {
    key: EncodingKey,
    pub(crate) jwks: std::path::PathBuf,
}

impl Issuer {
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let key = EncodingKey::from_ec_der(pair.serialized_der());
        let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        let jwks = directory.join("jwks.json");
        std::fs::write(&jwks, json!({ "keys": [jwk] }).to_string())?;
        Ok(Self { key, jwks })
    }

    pub(crate) fn token(&self, customer: &str) -> Result<String> {
        let in_an_hour = SystemTime::now() + Duration::from_secs(3_600);
        let claims: Value = json!({
            "iss": ISSUER,
            "aud": "orders",
            "sub": customer,
            "exp": in_an_hour.duration_since(UNIX_EPOCH)?.as_secs(),
        });
        let header = Header::new(Algorithm::ES256);
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}
