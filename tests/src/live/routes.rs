//! The routes of the page: static files, the event stream, and one route per switch.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Parts;
use super::chapters::{self, Chapter};
use super::controls::Action;
use super::front::{EventStreams, Json, Refusal};
use super::load::{MAX_RATE, MAX_SPIKE};
use super::payments::Payments;
use super::placing::Placed;
use super::records;
use super::timeline::OrderTimeline;

/// The files of the page, by path.
const FILES: [(&str, &str, &str); 10] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/index.html"),
    ),
    ("/live.css", "text/css", include_str!("page/live.css")),
    ("/live.js", "text/javascript", include_str!("page/live.js")),
    (
        "/connection.js",
        "text/javascript",
        include_str!("page/connection.js"),
    ),
    (
        "/plots.js",
        "text/javascript",
        include_str!("page/plots.js"),
    ),
    (
        "/processes.js",
        "text/javascript",
        include_str!("page/processes.js"),
    ),
    (
        "/orders.js",
        "text/javascript",
        include_str!("page/orders.js"),
    ),
    (
        "/waterfall.js",
        "text/javascript",
        include_str!("page/waterfall.js"),
    ),
    ("/ways.js", "text/javascript", include_str!("page/ways.js")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The handlers' state.
#[derive(Clone, Debug)]
struct Shared {
    parts: Parts,
    streams: EventStreams,
}

type Outcome<T> = Result<Json<T>, Refusal>;

pub(super) fn routes(parts: Parts, streams: EventStreams) -> Router {
    let mut router = Router::new();
    for (path, kind, text) in FILES {
        router = router.route(
            path,
            get(async move || ([(header::CONTENT_TYPE, kind)], text)),
        );
    }
    router
        .route("/read/{*file}", get(read))
        .route("/api/events", get(events))
        .route("/api/state", get(state))
        .route("/api/orders", post(place))
        .route("/api/orders/{id}", get(order))
        .route("/api/rate", post(rate))
        .route("/api/spike", post(spike))
        .route("/api/payments", post(payments))
        .route("/api/processes/{name}", post(process))
        .route("/api/duplicate", post(duplicate))
        .route("/api/poison", post(poison))
        .route("/api/ways", post(ways))
        .fallback(async || Refusal::not_found("there is no such page"))
        .method_not_allowed_fallback(async || {
            let message = "this method is not for this page".to_owned();
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message)
        })
        .with_state(Shared { parts, streams })
}

async fn events(State(shared): State<Shared>) -> Response {
    shared.streams.open()
}

async fn state(State(shared): State<Shared>) -> impl IntoResponse {
    Json(shared.parts.snapshot())
}

/// A chapter as plain text.
async fn read(Path(file): Path<String>) -> Result<Response, Refusal> {
    let missing = || Refusal::not_found("there is no such chapter");
    let path = chapters::readable(&file).ok_or_else(missing)?;
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|_| missing())?;
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, text).into_response())
}

/// An empty object: the switches decide what is placed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn place(State(shared): State<Shared>, Json(Nothing {}): Json<Nothing>) -> Json<Placed> {
    let payments = shared.parts.load.settings().payments;
    Json(shared.parts.placing.place(payments).await)
}

async fn order(State(shared): State<Shared>, Path(id): Path<String>) -> Outcome<OrderTimeline> {
    shared.parts.timelines.of(&id).await.map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    per_second: u32,
}

async fn rate(State(shared): State<Shared>, Json(rate): Json<Rate>) -> Outcome<Value> {
    let rate = at_most("per_second", rate.per_second, MAX_RATE)?;
    let Parts { load, story, .. } = &shared.parts;
    if load.settings().rate != rate {
        load.set_rate(rate);
        story.tell(
            Chapter::Hybrid,
            match rate {
                0 => "No more orders are placed.".to_owned(),
                _ => format!("Orders are placed at {rate} per second."),
            },
        );
    }
    done()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spike {
    orders: u32,
}

async fn spike(State(shared): State<Shared>, Json(spike): Json<Spike>) -> Outcome<Value> {
    let orders = at_most("orders", spike.orders, MAX_SPIKE)?;
    let text = format!(
        "A spike: {orders} orders at once. Their confirmations come first, and the topic holds the rest of the work."
    );
    shared.parts.story.tell(Chapter::Queue, text);
    shared.parts.load.spike(orders);
    done()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PaymentSwitch {
    payments: Payments,
}

async fn payments(
    State(shared): State<Shared>,
    Json(switch): Json<PaymentSwitch>,
) -> Outcome<Value> {
    shared.parts.load.set_payments(switch.payments);
    let text = format!(
        "For orders from now on: {}.",
        lower_first(switch.payments.about())
    );
    shared.parts.story.tell(Chapter::Payments, text);
    done()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessSwitch {
    action: Action,
}

async fn process(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(switch): Json<ProcessSwitch>,
) -> Outcome<Value> {
    shared.parts.controls.begin(&name, switch.action)?;
    done()
}

async fn duplicate(
    State(shared): State<Shared>,
    Json(Nothing {}): Json<Nothing>,
) -> Outcome<Value> {
    let told = records::duplicate_last(&shared.parts.stack).await;
    tell(&shared.parts, Chapter::Inbox, told)
}

async fn poison(State(shared): State<Shared>, Json(Nothing {}): Json<Nothing>) -> Outcome<Value> {
    let number = shared.parts.next_poison();
    let told = records::poison(&shared.parts.stack, number).await;
    tell(&shared.parts, Chapter::DeadLetters, told)
}

async fn ways(State(shared): State<Shared>, Json(Nothing {}): Json<Nothing>) -> Outcome<Value> {
    let Parts {
        ways, load, tasks, ..
    } = &shared.parts;
    if !ways.begin(load.settings().payments, tasks) {
        let message = "a comparison is still in progress".to_owned();
        return Err(Refusal::conflict(message));
    }
    done()
}

fn tell(parts: &Parts, chapter: Chapter, told: anyhow::Result<String>) -> Outcome<Value> {
    let told = told.map_err(|error| Refusal::unavailable(format!("{error:#}")))?;
    parts.story.tell(chapter, told);
    done()
}

fn at_most(name: &str, value: u32, limit: u32) -> Result<u32, Refusal> {
    if value > limit {
        return Err(Refusal::bad_request(format!(
            "{name} is {value}; at most {limit} is possible"
        )));
    }
    Ok(value)
}

fn done() -> Outcome<Value> {
    Ok(Json(json!({ "done": true })))
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
