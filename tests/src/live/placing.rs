//! Places real orders and follows each to its end.
//!
//! One attempt per order, with a deadline: the page shows what a caller sees, and a retry would hide it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use proto::orders::v1::{Order, PlaceOrderRequest};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use super::board::{Board, OrderRow, Unplaced, milliseconds};
use super::payments::Payments;
use super::tasks::Tasks;
use crate::client::connections::Connections;
use crate::client::failure::CallFailure;
use crate::client::retry::within;
use crate::client::vocabulary::{availability_name, is_final, status_name};
use crate::client::watch::Watch;
use crate::orders::{OrderBook, SAMPLE};

/// Deadline of a call: what a user waits for a confirmation.
const CALL: Duration = Duration::from_secs(2);

/// Orders that are followed at once; a stream each, below WATCH_STREAMS of order-service.
const FOLLOWED: usize = 2_000;

/// An order is followed for this long; outages that are tried out here are shorter.
const FOLLOW_FOR: Duration = Duration::from_mins(10);

/// Calls and streams share connections of a hundred streams.
const STREAMS: usize = 2_200;

/// Places orders; clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Placing {
    connections: Connections,
    book: Arc<OrderBook>,
    next: Arc<AtomicUsize>,
    /// Makes the request ids of this run different from those of all others.
    run: Uuid,
    board: Board,
    followers: Arc<Semaphore>,
    tasks: Tasks,
}

/// How the call to place an order ended.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(super) enum Placed {
    Accepted {
        order_id: String,
        availability: &'static str,
        confirmed_ms: f64,
    },
    Refused {
        error: String,
    },
    Failed {
        error: String,
    },
}

impl Placing {
    pub(super) fn new(addresses: &[String], board: Board, tasks: Tasks) -> Result<Self> {
        Ok(Self {
            connections: Connections::to(addresses, STREAMS)?,
            book: Arc::new(OrderBook::open(Path::new(SAMPLE))?.only_acceptable()?),
            next: Arc::default(),
            run: Uuid::new_v4(),
            board,
            followers: Arc::new(Semaphore::new(FOLLOWED)),
            tasks,
        })
    }

    /// Places the next order of the sample.
    pub(super) async fn place(&self, payments: Payments) -> Placed {
        self.board.placed();
        let (invoice, request) = self.next_request(payments);
        let mut call = Request::new(request);
        call.set_timeout(CALL);
        let mut client = self.connections.next();
        let begun = Instant::now();
        let answer = within(CALL, client.place_order(call)).await;
        let taken = begun.elapsed();
        match answer.map(|answer| answer.order) {
            Ok(Some(order)) => self.accepted(&order, invoice, begun, taken),
            Ok(None) => self.not_placed(&Status::data_loss("the answer has no order").into()),
            Err(failure) => self.not_placed(&failure),
        }
    }

    /// The next order of the sample, with its invoice.
    pub(super) fn next_request(&self, payments: Payments) -> (String, PlaceOrderRequest) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let order = self.book.order(number, self.run);
        // An acceptable order can be expressed; an empty request would be refused, and shown.
        let mut request = order.request.unwrap_or_default();
        request.payment_token = payments.token(request.payment_token);
        (order.invoice, request)
    }

    fn accepted(&self, order: &Order, invoice: String, begun: Instant, taken: Duration) -> Placed {
        let row = OrderRow {
            id: order.order_id.clone(),
            invoice,
            status: status_name(order.status),
            availability: availability_name(order.availability),
            confirmed_ms: milliseconds(taken),
            outcome_ms: None,
        };
        let placed = Placed::Accepted {
            order_id: row.id.clone(),
            availability: row.availability,
            confirmed_ms: row.confirmed_ms,
        };
        self.board.accepted(row);
        self.follow(order.order_id.clone(), begun);
        placed
    }

    fn not_placed(&self, failure: &CallFailure) -> Placed {
        let error = failure.to_string();
        match failure.code {
            Code::FailedPrecondition | Code::InvalidArgument => {
                self.board.unplaced(Unplaced::Refused);
                Placed::Refused { error }
            }
            _ => {
                self.board.unplaced(Unplaced::Failed);
                Placed::Failed { error }
            }
        }
    }

    fn follow(&self, order_id: String, begun: Instant) {
        let Ok(place) = self.followers.clone().try_acquire_owned() else {
            return self.board.unwatched();
        };
        let board = self.board.clone();
        let watch = Watch::new(self.connections.next(), &order_id, 0);
        self.tasks.spawn(async move {
            let _place = place;
            let followed = watch.until_final(begun + FOLLOW_FOR, |entry| {
                board.progressed(&order_id, entry.status);
                if is_final(entry.status) {
                    board.finished(&order_id, begun.elapsed());
                }
            });
            if followed.await.is_err() {
                board.unwatched();
            }
        });
    }
}
