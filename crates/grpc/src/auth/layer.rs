//! Authentication layer of the server.
//!
//! Removes the token from the request, so that no inner layer or method can log or forward it, and adds the [`Caller`].
//! A call with an invalid token is rejected here. Health checks need no token: probes have none, and the answer
//! contains no customer data.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, Entry};
use http::{HeaderMap, HeaderValue, Request, Response};
use tower::{Layer, Service};

use super::caller::Caller;
use super::verifier::{TokenError, Verifier};
use crate::status::CallRejection;

/// Methods below this path need no token.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Scheme of bearer tokens (RFC 6750), case-insensitive (RFC 9110, section 11.1).
const BEARER: &str = "bearer";

/// Clones share the keys.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    authenticator: Authenticator,
}

impl AuthLayer {
    pub(super) fn new(verifier: Option<Arc<Verifier>>, service: &'static str) -> Self {
        Self {
            authenticator: Authenticator { verifier, service },
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService {
            inner,
            authenticator: self.authenticator.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    authenticator: Authenticator,
}

impl<S, B, R> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // `inner` is the instance that is ready; its clone must become ready for the next call.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let authenticator = self.authenticator.clone();
        Box::pin(async move {
            match authenticator.authenticate(&mut request).await {
                Ok(()) => inner.call(request).await,
                Err(rejection) => Ok(rejection.status(authenticator.service).into_http()),
            }
        })
    }
}

#[derive(Clone, Debug)]
struct Authenticator {
    /// `None`: every caller is anonymous.
    verifier: Option<Arc<Verifier>>,
    /// Domain of the errors.
    service: &'static str,
}

impl Authenticator {
    async fn authenticate<B>(&self, request: &mut Request<B>) -> Result<(), CallRejection> {
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
