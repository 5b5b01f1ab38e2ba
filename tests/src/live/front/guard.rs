//! What every request must be before a handler sees it: for this host, from this page, small, and in time.
//!
//! A browser sends requests of any site to 127.0.0.1. Two headers that a page cannot forge tell them apart. `Origin` names the
//! page that sends a request: it must be this one. `Host` names the server as the browser sees it: a site whose name resolves
//! to 127.0.0.1 (DNS rebinding) is of the same origin as its requests, but is no IP address and not `localhost`.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use super::{FrontLimits, Refusal};

/// Headers of every answer. The policy permits only files of this server: no inline script, no other host, no frame around it.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // The next `make up` may serve another version.
    (header::CACHE_CONTROL, "no-store"),
];

/// The routes behind the guard.
pub(super) fn around(routes: Router, limits: FrontLimits) -> Router {
    routes.layer(from_fn_with_state(limits, guard))
}

async fn guard(State(limits): State<FrontLimits>, request: Request, next: Next) -> Response {
    let answer = async {
        admit(request.method(), request.headers())?;
        Ok(next.run(with_whole_body(request, limits.body).await?).await)
    };
    let mut response = match timeout(limits.request, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(refusal)) => Refusal::into_response(refusal),
        Err(_) => too_slow(limits.request).into_response(),
    };
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

fn too_slow(limit: Duration) -> Refusal {
    Refusal::new(
        StatusCode::REQUEST_TIMEOUT,
        format!("the request was not complete and answered within {limit:?}"),
    )
}

fn admit(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|host| is_address(host)) else {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "the Host is not an IP address or localhost".to_owned(),
        ));
    };
    if let Some(origin) = headers.get(header::ORIGIN)
        && origin.as_bytes() != format!("http://{host}").as_bytes()
    {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "the request is from a page of another origin".to_owned(),
        ));
    }
    if is_embedded_elsewhere(headers) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "the request is from a page of another site".to_owned(),
        ));
    }
    // A form of another site can post, with an older browser without Origin, but not with this type.
    if method == Method::POST && !is_json(headers) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the Content-Type of a POST is not application/json".to_owned(),
        ));
    }
    Ok(())
}

/// Whether a Host is not a name that somebody else's DNS could resolve to this machine.
fn is_address(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    if host.contains('@') {
        return false;
    }
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// Whether a page of another site loads this as an image, a script or a frame, without `Origin`. A link to here is fine.
fn is_embedded_elsewhere(headers: &HeaderMap) -> bool {
    let is = |name: &str, values: &[&str]| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| values.contains(&value))
    };
    is("sec-fetch-site", &["cross-site", "same-site"])
        && !(is("sec-fetch-mode", &["navigate"]) && is("sec-fetch-dest", &["document"]))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The request with its body read to the end.
async fn with_whole_body(request: Request, limit: usize) -> Result<Request, Refusal> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, limit).collect().await;
    let body: Bytes = match body {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is larger than {limit} bytes"),
            ));
        }
        Err(_) => return Err(Refusal::bad_request("the body ended early".to_owned())),
    };
    Ok(Request::from_parts(head, Body::from(body)))
}
