//! A tower layer from one async function: each layer of the server is a type with [`Middleware::handle`].

use std::convert::Infallible;
use std::mem;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Layer, Service};

/// A layer that sees each request, and the response of the layers further in.
pub(crate) trait Middleware: Clone + Send + 'static {
    fn handle<S: Inner>(
        self,
        request: Request<Body>,
        next: Next<S>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// A service of the server: it answers every call, with an error as a status.
pub(crate) trait Inner:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Inner for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// When the server received the call, an extension of its request. The futures of the layers begin when they are first
/// polled, on a busy machine some milliseconds later: a deadline that counted from there would end after the client's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceivedAt(pub(crate) Instant);

/// The layers further in, ready for one call.
pub(crate) struct Next<S>(S);

impl<S: Inner> Next<S> {
    pub(crate) async fn run(mut self, request: Request<Body>) -> Response<Body> {
        let Ok(response) = self.0.call(request).await;
        response
    }
}

#[derive(Clone, Debug)]
pub(crate) struct MiddlewareLayer<M>(pub(crate) M);

impl<M: Middleware, S> Layer<S> for MiddlewareLayer<M> {
    type Service = Layered<M, S>;

    fn layer(&self, inner: S) -> Layered<M, S> {
        let middleware = self.0.clone();
        Layered { middleware, inner }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Layered<M, S> {
    middleware: M,
    inner: S,
}

impl<M: Middleware, S: Inner> Service<Request<Body>> for Layered<M, S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // Only the outermost layer is called before anything is polled.
        let now = Instant::now();
        let extensions = request.extensions_mut();
        extensions.get_or_insert_with(|| ReceivedAt(now));
        // `inner` is the instance that is ready; its clone must become ready for the next call.
        let next = self.inner.clone();
        let ready = Next(mem::replace(&mut self.inner, next));
        let handled = self.middleware.clone().handle(request, ready);
        Box::pin(async move { Ok(handled.await) })
    }
}
