//! Tells each connection of its calls, from the request until the last byte of the response.
//!
//! Has to be the outermost layer: what another layer does with a call is part of the call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service};

use super::connection::ConnectionInfo;
use super::connections::CallInWork;

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
    type Response = Response<CountedBody<R>>;
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
    type Output = Result<Response<CountedBody<R>>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.inner.as_mut().poll(context))?;
        let call = self.call.take();
        Poll::Ready(Ok(response.map(|inner| CountedBody { inner, call })))
    }
}

/// A response; the call ends with it.
#[derive(Debug)]
pub(super) struct CountedBody<B> {
    inner: B,
    /// Only there to be dropped.
    #[expect(dead_code, reason = "dropping it ends the call")]
    call: Option<CallInWork>,
}

impl<B: Body + Unpin> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
