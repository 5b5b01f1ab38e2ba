//! Sync only: the pipeline runs while the user waits, and the answer is the outcome.

use anyhow::Result;
use futures::future::join_all;
use proto::processing::v1::ProcessOrderRequest;
use proto::processing::v1::processing_service_client::ProcessingServiceClient;
use tokio::time::Instant;
use tonic::Request;

use super::{ANSWER, WayOrder, WayOutcome};
use crate::client::connections::connect;
use crate::client::retry::within;
use crate::stack::Stack;

pub(super) async fn run(stack: &Stack, orders: Vec<WayOrder>) -> Result<Vec<WayOutcome>> {
    let channel = connect(&format!("http://{}", stack.addresses().processing[0]))?;
    let client = ProcessingServiceClient::new(channel);
    let calls = orders.into_iter().map(async |order| {
        let mut client = client.clone();
        let mut request = Request::new(ProcessOrderRequest {
            order_id: order.id.to_string(),
            lines: order.request.lines,
            total: Some(order.total),
            payment_token: order.request.payment_token,
        });
        request.set_timeout(ANSWER);
        let begun = Instant::now();
        let answer = within(ANSWER, client.process_order(request)).await;
        let taken = answer.is_ok().then(|| begun.elapsed());
        WayOutcome {
            answered: taken,
            ended: taken,
        }
    });
    Ok(join_all(calls).await)
}
