//! A response body that holds something until its end: what counts a call, what bounds a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use super::respond::Respond;

/// A body, and what is given back when it has ended or is dropped.
#[derive(Debug)]
pub(super) struct HeldBody<B, H> {
    inner: B,
    /// Only there to be dropped.
    #[expect(dead_code, reason = "dropping it gives it back")]
    held: H,
}

impl<B, H> HeldBody<B, H> {
    pub(super) fn new(inner: B, held: H) -> Self {
        Self { inner, held }
    }
}

impl<B: Respond, H: Default> Respond for HeldBody<B, H> {
    fn respond(status: Status) -> Response<Self> {
        B::respond(status).map(|inner| Self::new(inner, H::default()))
    }
}

impl<B: Body + Unpin, H: Unpin> Body for HeldBody<B, H> {
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
