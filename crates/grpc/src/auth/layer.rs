//! Authentication layer of the server.
//!
//! Removes the token from the request, so that no inner layer or method can log or forward it, and adds the [`Caller`].
//! A call with an invalid token is rejected here. Health checks need no token: probes have none, and the answer
//! contains no customer data.

use std::sync::Arc;

use http::header::{AUTHORIZATION, Entry};
use http::{HeaderMap, HeaderValue, Request, Response};
use tonic::body::Body;

use super::caller::Caller;
use super::verifier::{TokenError, Verifier};
use crate::middleware::{Inner, Middleware, Next};
use crate::status::CallRejection;

/// Methods below this path need no token.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Scheme of bearer tokens (RFC 6750), case-insensitive (RFC 9110, section 11.1).
const BEARER: &str = "bearer";

/// Clones share the keys.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    /// `None`: every caller is anonymous.
    pub(super) verifier: Option<Arc<Verifier>>,
    /// Domain of the errors.
    pub(super) service: &'static str,
}

impl Middleware for AuthLayer {
    async fn handle<S: Inner>(self, mut request: Request<Body>, next: Next<S>) -> Response<Body> {
        match self.authenticate(&mut request).await {
            Ok(()) => next.run(request).await,
            Err(rejection) => rejection.status(self.service).into_http(),
        }
    }
}

impl AuthLayer {
    async fn authenticate(&self, request: &mut Request<Body>) -> Result<(), CallRejection> {
        let credentials = take_credentials(request.headers_mut());
        if request.uri().path().starts_with(HEALTH) {
            return Ok(());
        }
        let caller = match &self.verifier {
            Some(verifier) => identify(verifier, credentials).await?,
            None => Caller::Anonymous,
        };
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

/// Credentials of a request, removed from it.
#[derive(Debug)]
enum Credentials {
    None,
    One(HeaderValue),
    /// Ambiguous: two components could use different ones.
    Several,
}

fn take_credentials(headers: &mut HeaderMap) -> Credentials {
    let Entry::Occupied(entry) = headers.entry(AUTHORIZATION) else {
        return Credentials::None;
    };
    let (_, mut values) = entry.remove_entry_mult();
    match (values.next(), values.next()) {
        (Some(mut value), None) => {
            value.set_sensitive(true);
            Credentials::One(value)
        }
        (None, _) => Credentials::None,
        (Some(_), Some(_)) => Credentials::Several,
    }
}

async fn identify(verifier: &Verifier, credentials: Credentials) -> Result<Caller, CallRejection> {
    let Credentials::One(value) = credentials else {
        return Err(CallRejection::Unauthenticated);
    };
    let token = bearer_token(&value).ok_or(CallRejection::Unauthenticated)?;
    verifier.verify(token).await.map_err(|reason| {
        tracing::debug!(%reason, "token rejected");
        rejection(&reason)
    })
}

fn bearer_token(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case(BEARER);
    is_bearer.then(|| token.trim_start_matches(' '))
}

/// The same token may be accepted later if the issuer is unavailable.
fn rejection(reason: &TokenError) -> CallRejection {
    match reason {
        TokenError::NoKeys | TokenError::IssuerUnreachable => CallRejection::DependencyUnavailable,
        _ => CallRejection::Unauthenticated,
    }
}
