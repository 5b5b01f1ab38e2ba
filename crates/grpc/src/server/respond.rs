//! How a layer answers by itself: a response without a body, whose headers are the trailers ("Trailers-Only" in gRPC over
//! HTTP/2).

use http::{HeaderMap, Response};
use tonic::Status;

/// A body of which there is an empty one, to answer with a status alone.
pub(super) trait Respond: Sized {
    /// The answer that is nothing but this status.
    fn respond(status: Status) -> Response<Self>;
}

impl Respond for tonic::body::Body {
    fn respond(status: Status) -> Response<Self> {
        status.into_http()
    }
}

/// The status as the trailers of a body that has begun.
pub(super) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // Fails for a message that cannot stand in a header, which is percent-encoded before: without details it is still
    // an answer.
    if status.add_header(&mut trailers).is_err() {
        let code = i32::from(status.code());
        trailers.insert(Status::GRPC_STATUS, code.into());
    }
    trailers
}
