//! Counts the in-flight calls of each connection, from the request to the last byte of the response.
//!
//! Outside of every layer that can end a call: their work is part of the call.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tower::{Layer, Service};

use super::connection::ConnectionInfo;
use super::connection_limiter::InFlightCall;
use super::response::PermitBody;

/// Counts the in-flight calls of the connection of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ConnectionActivityLayer;

impl<S> Layer<S> for ConnectionActivityLayer {
    type Service = ConnectionActivity<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConnectionActivity { inner }
    }
}

#[derive(Clone, Debug)]
pub(super) struct ConnectionActivity<S> {
    inner: S,
}

impl<S, Sent, Answer> Service<Request<Sent>> for ConnectionActivity<S>
where
    S: Service<Request<Sent>, Response = Response<Answer>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    Answer: Send + 'static,
{
    type Response = Response<PermitBody<Answer, Option<InFlightCall>>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Sent>) -> Self::Future {
        let connection = request.extensions().get::<ConnectionInfo>();
        let call = connection.map(ConnectionInfo::begin_call);
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| PermitBody::new(body, call))) })
    }
}
