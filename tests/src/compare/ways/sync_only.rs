//! Sync only: the pipeline runs while the user waits, and the answer is the outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use proto::orders::v1::OrderStatus;
use proto::processing::v1::processing_service_client::ProcessingServiceClient;
use tokio::time::Instant;
use tonic::Request;
use tonic::transport::Channel;

use super::super::ledger::Outcome;
use super::super::order::StudyOrder;
use super::super::site::{CONNECTIONS, Site};
use super::super::way::{Checkout, Reply};
use super::failed;
use crate::client::connections::connect;
use crate::open_loop::answer::within;

#[derive(Clone, Debug)]
pub(in super::super) struct SyncOnly {
    clients: Arc<Vec<ProcessingServiceClient<Channel>>>,
    turn: Arc<AtomicUsize>,
}

impl SyncOnly {
    pub(super) fn open(site: &Site) -> Result<Self> {
        let address = site.entry();
        let channels = (0..CONNECTIONS).map(|_| connect(&address));
        let clients = channels.map(|channel| channel.map(ProcessingServiceClient::new));
        Ok(Self {
            clients: Arc::new(clients.collect::<Result<_>>()?),
            turn: Arc::default(),
        })
    }
}

impl Checkout for SyncOnly {
    async fn submit(&self, order: &StudyOrder, deadline: Instant) -> Reply {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.clients.len();
        let mut client = self.clients[turn].clone();
        let left = deadline.saturating_duration_since(Instant::now());
        let mut request = Request::new(order.process());
        request.set_timeout(left);
        match within(left, client.process_order(request)).await {
            Ok(response) => Reply::Ended(match response.get_ref().status() {
                OrderStatus::Fulfilled => Outcome::Fulfilled,
                _ => Outcome::Undone,
            }),
            Err(status) => failed(&status),
        }
    }
}
