//! Tells each connection of its calls, from the request until the last byte of the response.
//!
//! Has to be the outermost layer: what another layer does with a call is part of the call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use tower::{Layer, Service};

use super::connection::ConnectionInfo;
use super::connections::CallInWork;
use super::held_body::HeldBody;

/// Counts the calls in work of the connection that a request came by.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ConnectionActivityLayer;

impl<S> Layer<S> for ConnectionActivityLayer {
    type Service = ConnectionActivity<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ConnectionActivity { inner }
    }
}

/// The service of [`ConnectionActivityLayer`].
#[derive(Clone, Debug)]
pub(super) struct ConnectionActivity<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for ConnectionActivity<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<HeldBody<R, Option<CallInWork>>>;
    type Error = S::Error;
    type Future = CountedCall<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let connection = request.extensions().get::<ConnectionInfo>();
        let call = connection.map(ConnectionInfo::begin_call);
        CountedCall {
            inner: Box::pin(self.inner.call(request)),
            call,
        }
    }
}

/// A call whose response has not begun.
#[derive(Debug)]
pub(super) struct CountedCall<F> {
    inner: Pin<Box<F>>,
    call: Option<CallInWork>,
}

impl<F, R, E> Future for CountedCall<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<HeldBody<R, Option<CallInWork>>>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.inner.as_mut().poll(context))?;
        let call = self.call.take();
        Poll::Ready(Ok(response.map(|body| HeldBody::new(body, call))))
    }
}
