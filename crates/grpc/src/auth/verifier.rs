//! A token becomes a caller, or is refused.
//!
//! Everything that the token says is judged by what this service was configured with and by the issuer's keys; its own
//! header only names the key. See RFC 8725 for the attacks that each check is against.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, TokenData, Validation};
use serde::Deserialize;
use thiserror::Error;

use super::AuthConfig;
use super::caller::Caller;
use super::key_set::{Candidates, Key, KeySet};
use super::keys::{Keys, Renewal, Trusted};
use super::verified::Fingerprint;

/// Longest token in bytes, checked before anything of it is read. It leaves half of the header limit to the rest.
pub(super) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Longest name of a caller in bytes (OpenID Connect Core 1.0, section 2, of `sub`).
const MAX_NAME_BYTES: usize = 255;

/// Judges tokens.
#[derive(Debug)]
pub(super) struct Verifier {
    keys: Keys,
    /// What the claims must be; the algorithm is added from the key.
    claims: Validation,
    operator_role: String,
}

/// Why a token is not believed. For the log: a client only learns that it is not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Unverified {
    /// The keys have not come yet.
    #[error("no keys yet")]
    NoKeys,
    /// The key that it names may be a new one, but the issuer does not answer.
    #[error("the issuer does not say whether the key exists")]
    KeyInDoubt,
    /// There is no key of that name.
    #[error("unknown key")]
    UnknownKey,
    /// Longer than any token.
    #[error("too long")]
    TooLong,
    /// It demands extensions that this service does not have (RFC 7515, section 4.1.11).
    #[error("critical extensions")]
    CriticalExtensions,
    /// The key that it names is for another algorithm, or none is named.
    #[error("no key fits")]
    NoKeyFits,
    /// It is malformed, forged, expired, or meant for somebody else.
    #[error("{0}")]
    Invalid(&'static str),
    /// It does not say who presents it.
    #[error("no usable name of a caller")]
    Nameless,
}

/// Without the library's own words: they may repeat what stands in the token.
impl From<jsonwebtoken::errors::Error> for Unverified {
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

/// The claims that make a caller. The registered ones are judged by the library.
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

    /// Who presents the token. A key that is not known is looked for at the issuer, so that a call needs no second try
    /// when the issuer has changed its keys.
    ///
    /// # Errors
    /// [`Unverified`] when the token is not believed.
    pub(super) async fn verify(&self, token: &str) -> Result<Caller, Unverified> {
        match self.judge(token) {
            Err(Unverified::UnknownKey) => match self.keys.renew().await {
                Renewal::Done => self.judge(token),
                Renewal::Recent => Err(Unverified::UnknownKey),
                Renewal::Slow => Err(Unverified::KeyInDoubt),
            },
            judged => judged,
        }
    }

    fn judge(&self, token: &str) -> Result<Caller, Unverified> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Unverified::TooLong);
        }
        let trusted = self.keys.trusted().ok_or(Unverified::NoKeys)?;
        let fingerprint = Fingerprint::of(token);
        if let Some(caller) = trusted.verified.get(fingerprint) {
            return Ok(caller);
        }
        self.examine(token, fingerprint, &trusted)
    }

    fn examine(
        &self,
        token: &str,
        fingerprint: Fingerprint,
        trusted: &Trusted,
    ) -> Result<Caller, Unverified> {
        let claims = self.believe(token, &trusted.keys)?;
        let valid_for = remaining(claims.exp);
        let caller = self.caller(claims).ok_or(Unverified::Nameless)?;
        trusted
            .verified
            .insert(fingerprint, caller.clone(), valid_for);
        Ok(caller)
    }

    /// The claims of a token that one of the keys has signed, and that is meant for this service and this time.
    fn believe(&self, token: &str, keys: &KeySet) -> Result<Claims, Unverified> {
        let header: Header = jsonwebtoken::decode_header(token)?;
        if header.crit.is_some() {
            return Err(Unverified::CriticalExtensions);
        }
        let Candidates::Known(candidates) = keys.candidates(&header) else {
            return Err(Unverified::UnknownKey);
        };
        let mut refusal = Unverified::NoKeyFits;
        for key in candidates {
            match self.decode(token, key) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) => refusal = error.into(),
            }
        }
        Err(refusal)
    }

    fn decode(
        &self,
        token: &str,
        key: &Key,
    ) -> Result<TokenData<Claims>, jsonwebtoken::errors::Error> {
        let mut validation = self.claims.clone();
        validation.algorithms = vec![key.algorithm];
        jsonwebtoken::decode(token, &key.decoding, &validation)
    }

    /// An operator is known by the role; everybody else is a customer.
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
    // The algorithm is replaced by the key's own before anything is verified.
    let mut claims = Validation::new(Algorithm::ES256);
    claims.set_required_spec_claims(&["exp", "aud", "iss"]);
    claims.set_audience(&[&config.audience]);
    claims.set_issuer(&[&config.issuer]);
    claims.validate_nbf = true;
    claims.leeway = config.clock_skew.as_secs();
    claims
}

/// How long a token is still valid; nothing if only the clock skew keeps it alive.
fn remaining(expiry: f64) -> Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Duration::try_from_secs_f64(expiry - now.as_secs_f64()).unwrap_or_default()
}
