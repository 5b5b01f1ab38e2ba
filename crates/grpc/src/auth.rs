//! Who calls: bearer tokens (JWT, RFC 7519) of one issuer, verified by its public keys.
//!
//! ```text
//!  file or URL ──▶ Keys ──▶ Verifier ──▶ AuthLayer ──▶ Caller in the request's extensions
//! ```
//!
//! The guarantees: no call but health's is handed on without a [`Caller`]; with authentication configured no call is
//! handed on without a token that is signed by a key of the issuer, meant for this service and valid now; and no token
//! is handed on, logged or kept. What a caller may do is decided where the call is handled.
//!
//! A token is judged when its call begins: a stream that is open stays open when its token expires.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use service::command_line::ExitError;
use service::config::Settings;

mod caller;
mod layer;

mod verifier;

mod key_set;
mod keys;
mod source;
mod verified;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use caller::Caller;
pub use layer::{AuthLayer, AuthService};
pub use source::JwksSource;

use keys::{Keys, KeysError, Pace};
use source::Reader;
use verifier::Verifier;

const JWKS: &str = "AUTH_JWKS";
const AUDIENCE: &str = "AUTH_AUDIENCE";
const ISSUER: &str = "AUTH_ISSUER";
const CLOCK_SKEW: &str = "AUTH_CLOCK_SKEW";

/// Clocks that are further apart are broken, and each second lengthens the life of a stolen token.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Which tokens are believed.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Where the keys of the issuer are.
    pub jwks: JwksSource,
    /// What a token must be meant for (`aud`).
    pub audience: String,
    /// Who must have issued it (`iss`).
    pub issuer: String,
    /// How far the clock of the issuer may be from this one; whole seconds.
    pub clock_skew: Duration,
    /// The role (`roles`) that makes an operator.
    pub operator_role: String,
}

impl AuthConfig {
    /// Reads the settings; `None` if there is to be no authentication.
    pub fn read(settings: &mut Settings<'_>) -> Option<Self> {
        let jwks: Option<String> = settings.optional(
            JWKS,
            "key set (JWKS) that tokens are verified with: a file, or an https:// URL (http:// only to loopback); a call then needs `authorization: Bearer TOKEN`, and a customer, the token's `customer_id` or else its `sub`, sees only their own orders; unset: no authentication, everybody may do everything",
        );
        let audience = settings.optional(
            AUDIENCE,
            "`aud` that a token must have; required with AUTH_JWKS",
        );
        let issuer = settings.optional(
            ISSUER,
            "`iss` that a token must have; required with AUTH_JWKS",
        );
        let clock_skew = read_clock_skew(settings);
        let operator_role = settings.value(
            "AUTH_OPERATOR_ROLE",
            "operator",
            "value in the array `roles` of a token whose bearer may do everything",
        );
        let is_wanted = jwks.is_some();
        Some(Self {
            audience: required(settings, AUDIENCE, audience, is_wanted),
            issuer: required(settings, ISSUER, issuer, is_wanted),
            jwks: parse_jwks(settings, &jwks?)?,
            clock_skew,
            operator_role,
        })
    }
}

fn read_clock_skew(settings: &mut Settings<'_>) -> Duration {
    let clock_skew: Duration = settings.value(
        CLOCK_SKEW,
        "30s",
        "how far the issuer's clock may be from this one, in whole seconds up to 5m",
    );
    if clock_skew > MAX_CLOCK_SKEW || clock_skew.subsec_nanos() != 0 {
        settings.reject(CLOCK_SKEW, "must be whole seconds, at most 5m");
    }
    clock_skew
}

/// Settings of half an authentication are refused: whoever made them believes that there is one.
fn required(
    settings: &mut Settings<'_>,
    name: &'static str,
    value: Option<String>,
    is_wanted: bool,
) -> String {
    match (&value, is_wanted) {
        (None, true) => settings.reject(name, "must be set when AUTH_JWKS is"),
        (Some(_), false) => settings.reject(name, "has no effect unless AUTH_JWKS is set"),
        _ => {}
    }
    value.unwrap_or_default()
}

fn parse_jwks(settings: &mut Settings<'_>, text: &str) -> Option<JwksSource> {
    let parsed = JwksSource::parse(text);
    parsed
        .map_err(|expected| settings.reject(JWKS, expected))
        .ok()
}

/// Authentication, as far as it is configured.
#[derive(Debug)]
pub struct Authentication {
    layer: AuthLayer,
    upkeep: Option<Upkeep>,
}

#[derive(Debug)]
struct Upkeep {
    keys: Keys,
    reader: Reader,
    pace: Pace,
}

/// Why authentication cannot be set up.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The keys in the file cannot be used. An issuer that does not answer is waited for.
    #[error("AUTH_JWKS, {source_name}")]
    Keys {
        /// Where they were looked for.
        source_name: String,
        /// What is wrong.
        #[source]
        cause: KeysError,
    },
}

impl From<AuthError> for ExitError {
    fn from(error: AuthError) -> Self {
        Self::failed(error)
    }
}

impl Authentication {
    /// Sets authentication up for this service. Keys in a file are read now; those of a URL come when
    /// [`Authentication::keep_fresh`] runs, and until then calls are refused with UNAVAILABLE.
    ///
    /// # Errors
    /// [`AuthError`] when the keys in the file cannot be used.
    pub async fn load(
        config: Option<&AuthConfig>,
        service: &'static str,
    ) -> Result<Self, AuthError> {
        let Some(config) = config else {
            return Ok(Self {
                layer: AuthLayer::new(None, service),
                upkeep: None,
            });
        };
        Self::load_at(config, service, Pace::of(&config.jwks)).await
    }

    async fn load_at(
        config: &AuthConfig,
        service: &'static str,
        pace: Pace,
    ) -> Result<Self, AuthError> {
        let keys = Keys::none(pace.gap);
        let reader = prepare(&config.jwks, &keys).await;
        let reader = reader.map_err(|cause| AuthError::Keys {
            source_name: config.jwks.to_string(),
            cause,
        })?;
        let verifier = Arc::new(Verifier::new(config, keys.clone()));
        Ok(Self {
            layer: AuthLayer::new(Some(verifier), service),
            upkeep: Some(Upkeep { keys, reader, pace }),
        })
    }

    /// What makes a server know its callers.
    pub fn layer(&self) -> AuthLayer {
        self.layer.clone()
    }

    /// Keeps the keys fresh until `shutdown`.
    pub async fn keep_fresh(self, shutdown: CancellationToken) {
        match self.upkeep {
            Some(Upkeep { keys, reader, pace }) => keys.keep_fresh(reader, pace, shutdown).await,
            None => shutdown.cancelled().await,
        }
    }
}

async fn prepare(source: &JwksSource, keys: &Keys) -> Result<Reader, KeysError> {
    let reader = Reader::new(source.clone())?;
    if matches!(source, JwksSource::File(_)) {
        keys.read(&reader).await?;
    }
    Ok(reader)
}
