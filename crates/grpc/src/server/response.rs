//! Response bodies of the layers: status-only responses ("Trailers-Only" in gRPC over HTTP/2), and a body that holds a
//! permit.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

/// A body that can be empty, for a response that is only a status.
pub(super) trait Respond: Sized {
    fn respond(status: Status) -> Response<Self>;
}

impl Respond for tonic::body::Body {
    fn respond(status: Status) -> Response<Self> {
        status.into_http()
    }
}

/// The status as trailers.
pub(super) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // Fails if the message is no valid header value, but it is percent-encoded: fall back to the code alone.
    if status.add_header(&mut trailers).is_err() {
        let code = i32::from(status.code());
        trailers.insert(Status::GRPC_STATUS, code.into());
    }
    trailers
}

/// A body that holds a permit until it ends or is dropped.
#[derive(Debug)]
pub(super) struct PermitBody<B, H> {
    inner: B,
    #[expect(dead_code, reason = "released on drop")]
    held: H,
}

impl<B, H> PermitBody<B, H> {
    pub(super) fn new(inner: B, held: H) -> Self {
        Self { inner, held }
    }
}

impl<B: Respond, H: Default> Respond for PermitBody<B, H> {
    fn respond(status: Status) -> Response<Self> {
        B::respond(status).map(|inner| Self::new(inner, H::default()))
    }
}

impl<B: Body + Unpin, H: Unpin> Body for PermitBody<B, H> {
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
