//! One caller: takes turns, places an order in each, and hands accepted orders to a watcher task.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use proto::orders::v1::{CancelOrderRequest, Order, PlaceOrderRequest};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tonic::Response;

use super::history::History;
use super::schedule::ReplayTurn;
use super::shared::Replay;
use super::tally::{OrderEnd, Unanswered};
use crate::client::failure::CallFailure;
use crate::client::recorded;
use crate::client::retry::until_answered;
use crate::client::watch::Watch;

/// Every Nth accepted order is cancelled right after its confirmation, so that cancellation meets processing in each of
/// its steps.
const CANCEL_EVERY: u64 = 40;

pub(super) struct ReplayCaller {
    replay: Arc<Replay>,
}

/// A confirmed order, with the time that latencies count from.
struct ConfirmedOrder {
    order: Order,
    invoice: String,
    sent: Instant,
}

impl ReplayCaller {
    pub(super) fn new(replay: Arc<Replay>) -> Self {
        Self { replay }
    }

    /// Takes turns until there are none left, or until the replay is stopped.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        while let Some((turn, permit)) = self.next_turn().await {
            self.take(turn, permit).await?;
        }
        Ok(())
    }

    async fn next_turn(&self) -> Option<(ReplayTurn, OwnedSemaphorePermit)> {
        let next = async {
            let permit = self.replay.open_orders.clone().acquire_owned().await.ok()?;
            let turn = self.replay.schedule.next()?;
            if let Some(due) = turn.due {
                sleep_until(due).await;
            }
            Some((turn, permit))
        };
        tokio::select! {
            // The stop first: a turn that is due at the same time is not started.
            biased;
            () = self.replay.stop.cancelled() => None,
            turn = next => turn,
        }
    }

    async fn take(&self, turn: ReplayTurn, permit: OwnedSemaphorePermit) -> anyhow::Result<()> {
        let replay = &self.replay;
        let order = replay.plan.orders.order(turn.number, replay.run);
        let sent = turn.due.unwrap_or_else(Instant::now);
        replay.tally.submitted(sent);
        let request = match order.request {
            Ok(request) => replay.plan.trouble.touch(turn.number, request),
            Err(refusal) => {
                replay.tally.refused_by_client(&refusal);
                return Ok(());
            }
        };
        match self.place(&request, &order.invoice).await {
            Ok(confirmed) => {
                replay.tally.accepted(sent.elapsed());
                self.follow(confirmed, order.invoice, sent, permit);
            }
            Err(failure) if failure.is_transient() => replay.tally.unanswered(&Unanswered {
                invoice: order.invoice,
                failure,
            }),
            Err(failure) => replay.tally.refused_by_server(&failure),
        }
        Ok(())
    }

    async fn place(
        &self,
        request: &PlaceOrderRequest,
        invoice: &str,
    ) -> Result<Order, CallFailure> {
        let deadline = Instant::now() + self.replay.plan.wait_limits.confirmation;
        // Each attempt goes to the next replica: the one that did not answer may be down for a while.
        let answer = until_answered(deadline, || {
            let (mut client, request) = (self.replay.calls.next(), request.clone());
            let journal = &self.replay.journal;
            async move {
                let order = recorded::place(&mut client, journal, request, Some(invoice)).await;
                order.map(Response::new)
            }
        });
        tokio::select! {
            answer = answer => answer,
            () = self.replay.give_up.cancelled() => Err(stopped()),
        }
    }

    /// Follows the order in a task of its own, which holds the permit until the order is final.
    fn follow(&self, order: Order, invoice: String, sent: Instant, permit: OwnedSemaphorePermit) {
        let accepted_before = self.replay.accepted.fetch_add(1, Ordering::Relaxed);
        let cancel = (accepted_before + 1).is_multiple_of(CANCEL_EVERY);
        let placed = ConfirmedOrder {
            order,
            invoice,
            sent,
        };
        let replay = self.replay.clone();
        self.replay.watchers.spawn(async move {
            if cancel {
                placed.cancel(&replay).await;
            }
            placed.watch(&replay).await;
            drop(permit);
        });
    }
}

impl ConfirmedOrder {
    async fn cancel(&self, replay: &Replay) {
        let deadline = Instant::now() + replay.plan.wait_limits.confirmation;
        let client = replay.calls.next();
        let answer = until_answered(deadline, || {
            let mut client = client.clone();
            let order_id = self.order.order_id.clone();
            let request = CancelOrderRequest { order_id };
            async move {
                let order = recorded::cancel(&mut client, &replay.journal, request).await;
                order.map(Response::new)
            }
        });
        let answer = tokio::select! {
            answer = answer => answer.map(drop),
            () = replay.give_up.cancelled() => return,
        };
        replay.tally.cancel_answered(&self.order.order_id, &answer);
    }

    async fn watch(self, replay: &Replay) {
        let deadline = Instant::now() + replay.plan.wait_limits.outcome;
        let watch = Watch::new(replay.watches.next(), &self.order.order_id, 0);
        let mut history = History::new(&self.order, &self.invoice);
        let read = replay.journal.read(&self.order.order_id);
        let mut last_seen = Instant::now();
        let end = watch.until_final(deadline, |entry| {
            last_seen = Instant::now();
            history.push(entry);
        });
        let end = tokio::select! {
            end = end => end.map_err(Into::into),
            () = replay.give_up.cancelled() => Err(OrderEnd::Stopped),
        };
        read.watched(0, &history.entries, end.is_ok());
        match end {
            Ok(()) => replay.tally.ended(self.sent, last_seen, history),
            Err(ending) => replay.tally.not_ended(&history, &ending),
        }
    }
}

fn stopped() -> CallFailure {
    CallFailure::from(tonic::Status::cancelled("the replay was stopped"))
}
