//! Authentication by bearer tokens (JWT, RFC 7519) of one issuer, verified with its public keys.
//!
//! ```text
//!  file or URL ──▶ Keys ──▶ Verifier ──▶ AuthLayer ──▶ Caller in the request's extensions
//! ```
//!
//! Guarantees: every call except health checks reaches its method with a [`Caller`]; with authentication configured,
//! only with a token that a key of the issuer signed, for this service and valid now; tokens are never forwarded,
//! logged or stored. Authorization is up to the method.
//!
//! A token is verified when its call begins: an open stream stays open when its token expires.

use std::sync::Arc;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use service::command_line::ExitError;

mod caller;
mod config;
mod layer;

mod verifier;

mod jwks_source;
mod key_set;
mod keys;
mod token_cache;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use caller::Caller;
pub use config::AuthConfig;
pub use jwks_source::JwksSource;
pub use layer::AuthLayer;

use jwks_source::JwksReader;
use keys::{Keys, KeysError, RefreshSchedule};
use verifier::Verifier;

/// Authentication, if configured.
#[derive(Debug)]
pub struct Authentication {
    layer: AuthLayer,
    keys: Option<Keys>,
}

/// The keys in the file are unusable. An issuer that does not answer is no error: it is retried.
#[derive(Debug, Error)]
#[error("AUTH_JWKS, {source_name}")]
pub struct AuthError {
    source_name: String,
    #[source]
    cause: KeysError,
}

impl From<AuthError> for ExitError {
    fn from(error: AuthError) -> Self {
        Self::failed(error)
    }
}

impl Authentication {
    /// Sets up authentication. Keys in a file are read now; those of a URL are fetched by
    /// [`Authentication::keep_fresh`], and until then calls are rejected with UNAVAILABLE.
    ///
    /// # Errors
    /// [`AuthError`] if the keys in the file are unusable.
    pub async fn load(
        config: Option<&AuthConfig>,
        service: &'static str,
    ) -> Result<Self, AuthError> {
        if let Some(config) = config {
            return Self::load_at(config, service, RefreshSchedule::of(&config.jwks)).await;
        }
        let verifier = None;
        let layer = AuthLayer { verifier, service };
        Ok(Self { layer, keys: None })
    }

    async fn load_at(
        config: &AuthConfig,
        service: &'static str,
        schedule: RefreshSchedule,
    ) -> Result<Self, AuthError> {
        let keys = prepare(&config.jwks, schedule).await;
        let keys = keys.map_err(|cause| AuthError {
            source_name: config.jwks.to_string(),
            cause,
        })?;
        let verifier = Some(Arc::new(Verifier::new(config, keys.clone())));
        let layer = AuthLayer { verifier, service };
        let keys = Some(keys);
        Ok(Self { layer, keys })
    }

    /// The layer for a server.
    pub fn layer(&self) -> AuthLayer {
        self.layer.clone()
    }

    /// Refreshes the keys until `shutdown`.
    pub async fn keep_fresh(self, shutdown: CancellationToken) {
        match self.keys {
            Some(keys) => keys.keep_fresh(shutdown).await,
            None => shutdown.cancelled().await,
        }
    }
}

async fn prepare(source: &JwksSource, schedule: RefreshSchedule) -> Result<Keys, KeysError> {
    let keys = Keys::new(JwksReader::new(source.clone())?, schedule);
    if matches!(source, JwksSource::File(_)) {
        keys.read().await?;
    }
    Ok(keys)
}
