//! Counts the in-flight calls of each connection, from the request to the last byte of the response.
//!
//! Outside of every layer that can end a call: their work is part of the call.

use http::{Request, Response};
use tonic::body::Body;

use super::connection::ConnectionInfo;
use super::response::holding;
use crate::middleware::{Inner, Middleware, Next};

#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionActivityLayer;

impl Middleware for ConnectionActivityLayer {
    async fn handle<S: Inner>(self, request: Request<Body>, next: Next<S>) -> Response<Body> {
        let connection = request.extensions().get::<ConnectionInfo>();
        let call = connection.map(ConnectionInfo::begin_call);
        next.run(request).await.map(|body| holding(body, call))
    }
}
