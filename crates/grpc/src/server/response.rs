//! Trailers of the statuses that the layers make, and a response body that holds a permit.

use http::HeaderMap;
use http_body_util::BodyExt;
use tonic::Status;
use tonic::body::Body;

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

/// The body, which holds the permit until it is dropped.
pub(super) fn holding<P: Send + 'static>(body: Body, permit: Option<P>) -> Body {
    let Some(permit) = permit else {
        return body;
    };
    Body::new(body.map_frame(move |frame| {
        let _held = &permit;
        frame
    }))
}
