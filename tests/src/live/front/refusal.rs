//! An answer that is no success: a status, and a sentence for the reader as `{"error": …}`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

#[derive(Debug)]
pub(in super::super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(in super::super) fn new(status: StatusCode, message: String) -> Self {
        Self { status, message }
    }

    pub(in super::super) fn bad_request(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(in super::super) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, message.to_owned())
    }

    pub(in super::super) fn conflict(message: String) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(in super::super) fn unavailable(message: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// Something here failed; the reader is the one who runs the program, so the cause is shown.
    pub(in super::super) fn internal(error: &anyhow::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.message }).to_string();
        let kind = [(header::CONTENT_TYPE, "application/json")];
        (self.status, kind, body).into_response()
    }
}
