//! Verifies a token and derives its caller.
//!
//! Only the configuration and the issuer's keys decide about a token; its own header merely selects the key. RFC 8725
//! describes the attacks that the checks prevent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::Deserialize;
use thiserror::Error;

use super::caller::Caller;
use super::config::AuthConfig;
use super::key_set::KeySet;
use super::keys::{Keys, Renewal};
use super::token_cache::token_hash;

/// Limit of a token in bytes, checked before parsing. Leaves half of the header limit to other metadata.
pub(super) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Limit of a caller's name in bytes (`sub` in OpenID Connect Core 1.0, section 2).
const MAX_NAME_BYTES: usize = 255;

#[derive(Debug)]
pub(super) struct Verifier {
    keys: Keys,
    /// Required claims; the algorithm is set per key.
    claims: Validation,
    operator_role: String,
}

/// Why a token is rejected. For the log only: clients get UNAUTHENTICATED.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum TokenError {
    #[error("keys not loaded yet")]
    NoKeys,
    /// The key id is unknown and may be new, but the issuer does not answer.
    #[error("unknown key, issuer unreachable")]
    IssuerUnreachable,
    #[error("unknown key")]
    UnknownKey,
    #[error("too long")]
    TooLong,
    /// RFC 7515, section 4.1.11.
    #[error("critical extensions")]
    CriticalExtensions,
    /// The selected key is for another algorithm, or the key is ambiguous.
    #[error("no matching key")]
    NoMatchingKey,
    /// Malformed, forged, expired, or for another audience.
    #[error("{0}")]
    Invalid(&'static str),
    #[error("no usable caller name")]
    NoCaller,
}

/// Without the text of the library: it may repeat parts of the token.
impl From<jsonwebtoken::errors::Error> for TokenError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Self::Invalid(match error.kind() {
            ErrorKind::InvalidSignature => "the signature is wrong",
            ErrorKind::ExpiredSignature => "expired",
            ErrorKind::ImmatureSignature => "not valid yet",
            ErrorKind::InvalidAudience => "meant for another audience",
            ErrorKind::InvalidIssuer => "by another issuer",
            ErrorKind::MissingRequiredClaim(_) => "a claim is missing",
            _ => "malformed",
        })
    }
}

/// Claims that determine the caller. jsonwebtoken validates the registered ones.
#[derive(Debug, Deserialize)]
struct Claims {
    exp: f64,
    sub: Option<String>,
    customer_id: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
}

impl Verifier {
    pub(super) fn new(config: &AuthConfig, keys: Keys) -> Self {
        Self {
            keys,
            claims: required_claims(config),
            operator_role: config.operator_role.clone(),
        }
    }

    /// The caller of the token. An unknown key is requested from the issuer, so that no call fails when the issuer
    /// rotates its keys.
    ///
    /// # Errors
    /// [`TokenError`] if the token is rejected.
    pub(super) async fn verify(&self, token: &str) -> Result<Caller, TokenError> {
        match self.verify_with_current_keys(token) {
            Err(TokenError::UnknownKey) => match self.keys.renew().await {
                Renewal::Done => self.verify_with_current_keys(token),
                Renewal::Recent => Err(TokenError::UnknownKey),
                Renewal::Failed => Err(TokenError::IssuerUnreachable),
            },
            judged => judged,
        }
    }

    fn verify_with_current_keys(&self, token: &str) -> Result<Caller, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let trusted = self.keys.trusted().ok_or(TokenError::NoKeys)?;
        let hash = token_hash(token);
        if let Some(caller) = trusted.cache.get(hash) {
            return Ok(caller);
        }
        let claims = self.verified_claims(token, &trusted.keys)?;
        let valid_for = remaining(claims.exp);
        let caller = self.caller(claims).ok_or(TokenError::NoCaller)?;
        trusted.cache.insert(hash, caller.clone(), valid_for);
        Ok(caller)
    }

    /// The claims of a token that is signed by one of the keys, and valid for this service now.
    fn verified_claims(&self, token: &str, keys: &KeySet) -> Result<Claims, TokenError> {
        let header: Header = jsonwebtoken::decode_header(token)?;
        if header.crit.is_some() {
            return Err(TokenError::CriticalExtensions);
        }
        let candidates = keys.candidates(&header).ok_or(TokenError::UnknownKey)?;
        let mut last_error = TokenError::NoMatchingKey;
        let mut validation = self.claims.clone();
        for key in candidates {
            validation.algorithms = vec![key.algorithm];
            match jsonwebtoken::decode(token, &key.decoding, &validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) => last_error = error.into(),
            }
        }
        Err(last_error)
    }

    /// An operator has the role; every other caller is a customer.
    fn caller(&self, claims: Claims) -> Option<Caller> {
        let is_usable = |name: &String| (1..=MAX_NAME_BYTES).contains(&name.len());
        if claims.roles.contains(&self.operator_role) {
            let name = claims.sub.filter(is_usable)?;
            return Some(Caller::Operator { name });
        }
        let customer = claims.customer_id.or(claims.sub).filter(is_usable)?;
        Some(Caller::Customer(customer))
    }
}

fn required_claims(config: &AuthConfig) -> Validation {
    // Replaced by the algorithm of the key before verification.
    let mut claims = Validation::new(Algorithm::ES256);
    claims.set_required_spec_claims(&["exp", "aud", "iss"]);
    claims.set_audience(&[&config.audience]);
    claims.set_issuer(&[&config.issuer]);
    claims.validate_nbf = true;
    claims.leeway = config.clock_skew.as_secs();
    claims
}

/// Remaining validity; zero if only the clock skew still allows the token.
fn remaining(expiry: f64) -> Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Duration::try_from_secs_f64(expiry - now.as_secs_f64()).unwrap_or_default()
}
