//! Ends streams when the server stops.
//!
//! A graceful stop waits for calls in flight, and a stream that only its client ends (a health watch, reflection)
//! would use up that time. It ends with UNAVAILABLE, so that the client continues at another replica. Messages that
//! are ready are sent first: a health watch reports NOT_SERVING before its end, and a method that ends its streams
//! itself does so with its own status.

use futures::stream;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use prost::bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;

use super::methods::{MethodKind, Methods};
use super::response::trailers;
use crate::middleware::{Inner, Middleware, Next};
use crate::status::CallRejection;

#[derive(Clone, Debug)]
pub(super) struct StreamEndLayer {
    /// Domain of the errors.
    pub(super) service: &'static str,
    pub(super) methods: Methods,
    pub(super) shutdown: CancellationToken,
}

impl Middleware for StreamEndLayer {
    async fn handle<S: Inner>(self, request: Request<Body>, next: Next<S>) -> Response<Body> {
        if self.methods.kind(request.uri().path()) != Some(MethodKind::Streaming) {
            return next.run(request).await;
        }
        // The request ends too: reflection reads it in a task of its own, which would keep the stream half open.
        let request = request.map(|body| self.clone().ended(body, Err));
        // Biased: a method that waits for the first message of its client would report a broken request.
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => self.rejection().into_http(),
            response = next.run(request) => {
                let end = |status: Status| Ok(Frame::trailers(trailers(&status)));
                response.map(|body| self.ended(body, end))
            }
        }
    }
}

impl StreamEndLayer {
    fn rejection(&self) -> Status {
        CallRejection::ShuttingDown.status(self.service)
    }

    /// The body, with this end if the shutdown comes first.
    fn ended(self, body: Body, end: fn(Status) -> Result<Frame<Bytes>, Status>) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let frames = stream::unfold(Some((body, self)), move |open| async move {
            let (mut body, layer) = open?;
            // Biased: frames that are ready are sent.
            tokio::select! {
                biased;
                frame = body.frame() => Some((frame?, Some((body, layer)))),
                () = layer.shutdown.cancelled() => Some((end(layer.rejection()), None)),
            }
        });
        Body::new(StreamBody::new(frames))
    }
}
