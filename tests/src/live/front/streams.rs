//! Server-sent events: every stream gets the latest snapshot, at once and after each change.
//!
//! A snapshot replaces the one before, so a slow reader misses some and nothing is queued for it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use tokio::sync::{Semaphore, watch};
use tokio_stream::wrappers::WatchStream;

use super::Refusal;

/// Open streams. A browser opens one per tab, at most six to a host.
const MAX_STREAMS: usize = 16;

/// A refused reader comes back after this many seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

#[derive(Clone, Debug)]
pub(in super::super) struct EventStreams {
    snapshots: watch::Receiver<Arc<str>>,
    places: Arc<Semaphore>,
}

impl EventStreams {
    pub(in super::super) fn of(snapshots: watch::Receiver<Arc<str>>) -> Self {
        let places = Arc::new(Semaphore::new(MAX_STREAMS));
        Self { snapshots, places }
    }

    /// Opens a stream, or refuses it when too many are open.
    pub(in super::super) fn open(&self) -> Response {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let message = format!("{MAX_STREAMS} event streams are open; close another page");
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message);
            return ([(header::RETRY_AFTER, RETRY_AFTER)], refusal).into_response();
        };
        let snapshots = WatchStream::new(self.snapshots.clone());
        let events = snapshots.map(move |snapshot| {
            // Owned by the stream, which ends with its connection.
            let _held = &place;
            Ok::<_, Infallible>(format!("data: {snapshot}\n\n"))
        });
        let kind = [(header::CONTENT_TYPE, "text/event-stream")];
        (kind, Body::from_stream(events)).into_response()
    }
}
