//! The layer at the server that knows its callers.
//!
//! It takes the token out of the request, so that nothing behind it can log it or send it on, and puts the [`Caller`] in.
//! A call whose token is not believed is answered here. Only health needs no token: probes have none, and it tells
//! nothing about customers.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, Entry};
use http::{HeaderMap, HeaderValue, Request, Response};
use tower::{Layer, Service};

use super::caller::Caller;
use super::verifier::{Unverified, Verifier};
use crate::server::refusal::Refusal;

/// Calls below this path need no token.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// The scheme of the tokens (RFC 6750), compared without regard to case (RFC 9110, section 11.1).
const BEARER: &str = "bearer";

/// Makes services know their callers. Clones share the keys.
#[derive(Clone, Debug)]
pub struct AuthLayer {
    gate: Gate,
}

impl AuthLayer {
    pub(super) fn new(verifier: Option<Arc<Verifier>>, service: &'static str) -> Self {
        Self {
            gate: Gate { verifier, service },
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService {
            inner,
            gate: self.gate.clone(),
        }
    }
}

/// A service that knows its callers.
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    gate: Gate,
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
        // The one that is ready is used; its clone becomes ready for the next call.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let gate = self.gate.clone();
        Box::pin(async move {
            match gate.admit(&mut request).await {
                Ok(()) => inner.call(request).await,
                Err(refusal) => Ok(refusal.status(gate.service).into_http()),
            }
        })
    }
}

/// Decides about one call.
#[derive(Clone, Debug)]
struct Gate {
    /// `None` lets everybody in.
    verifier: Option<Arc<Verifier>>,
    /// Who refuses.
    service: &'static str,
}

impl Gate {
    async fn admit<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
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

/// What the request says about its caller, removed from it.
#[derive(Debug)]
enum Credentials {
    None,
    One(HeaderValue),
    /// Two sides could believe two different ones.
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

async fn identify(verifier: &Verifier, credentials: Credentials) -> Result<Caller, Refusal> {
    let Credentials::One(value) = credentials else {
        return Err(Refusal::Unauthenticated);
    };
    let token = bearer_token(&value).ok_or(Refusal::Unauthenticated)?;
    verifier.verify(token).await.map_err(|reason| {
        tracing::debug!(%reason, "token refused");
        refusal(&reason)
    })
}

fn bearer_token(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case(BEARER);
    is_bearer.then(|| token.trim_start_matches(' '))
}

/// The same token may do later if it is the issuer that is missing.
fn refusal(reason: &Unverified) -> Refusal {
    match reason {
        Unverified::NoKeys | Unverified::KeyInDoubt => Refusal::DependencyUnavailable,
        _ => Refusal::Unauthenticated,
    }
}
