//! Tests of the layer with real tokens.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, ServiceExt, service_fn};

use super::fixture::{Signer, claims, config, in_seconds, key_set};
use super::*;
use crate::middleware::MiddlewareLayer;

mod credentials;
mod issuer;
mod renewal;
mod settings;
mod tokens;

const METHOD: &str = "/orders.v1.OrderService/GetOrder";

/// A file with the issuer's keys.
struct KeyFile {
    path: PathBuf,
    _directory: TempDir,
}

impl KeyFile {
    fn with(keys: &[Value]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = Self {
            path: directory.path().join("jwks.json"),
            _directory: directory,
        };
        file.replace(keys);
        file
    }

    fn replace(&self, keys: &[Value]) {
        fs::write(&self.path, key_set(keys)).unwrap();
    }

    async fn authentication(&self) -> Authentication {
        let config = config(JwksSource::File(self.path.clone()));
        Authentication::load(Some(&config), "test").await.unwrap()
    }
}

async fn layer(keys: &[Value]) -> AuthLayer {
    KeyFile::with(keys).authentication().await.layer()
}

/// Calls with a token; returns the caller that the inner service sees.
async fn call(layer: &AuthLayer, token: &str) -> Result<Caller, Status> {
    let request = Request::builder()
        .uri(METHOD)
        .header(AUTHORIZATION, format!("Bearer {token}"));
    send(layer, request.body(Body::empty()).unwrap()).await
}

/// Sends a request through the layer to a service that returns its caller.
async fn send(layer: &AuthLayer, request: Request<Body>) -> Result<Caller, Status> {
    let inner = service_fn(async |request: Request<Body>| {
        assert!(!request.headers().contains_key(AUTHORIZATION));
        let mut response = Response::new(Body::empty());
        if let Some(caller) = request.extensions().get::<Caller>() {
            response.extensions_mut().insert(caller.clone());
        }
        Ok::<_, Infallible>(response)
    });
    let service = MiddlewareLayer(layer.clone()).layer(inner);
    let response = service.oneshot(request).await.unwrap();
    match Status::from_header_map(response.headers()) {
        Some(rejection) => Err(rejection),
        None => Ok(response.extensions().get::<Caller>().unwrap().clone()),
    }
}

fn customer(name: &str) -> Caller {
    Caller::Customer(name.to_owned())
}

fn assert_unauthenticated(outcome: Result<Caller, Status>) {
    assert_eq!(outcome.unwrap_err().code(), Code::Unauthenticated);
}
