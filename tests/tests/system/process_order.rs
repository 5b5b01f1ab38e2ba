//! ProcessOrder on real processes: an order inside of a call, beside the same order by its event.

use anyhow::Result;
use proto::orders::v1::{Money, OrderStatus};
use proto::processing::v1::ProcessOrderRequest;
use proto::processing::v1::processing_service_client::ProcessingServiceClient;
use proto::topics::PROCESSING_EVENTS;
use tests::system::{Draft, Service, System, eventually};
use uuid::Uuid;

const SERVED: (Service, &str, &str) = (Service::Processing, "PROCESS_ORDER", "true");

/// Processes the order of a draft under this id.
async fn process(system: &System, order_id: &str, draft: &Draft) -> Result<OrderStatus> {
    let address = system.addresses().processing[0];
    let mut client = ProcessingServiceClient::connect(format!("http://{address}")).await?;
    let draft = draft.request();
    let total = Money {
        currency_code: "GBP".to_owned(),
        minor_units: 510,
    };
    let request = ProcessOrderRequest {
        order_id: order_id.to_owned(),
        lines: draft.lines,
        total: Some(total),
        payment_token: draft.payment_token,
    };
    let response = client.process_order(request).await?;
    Ok(response.get_ref().status())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_a_call_is_published_once_with_its_outcome() -> Result<()> {
    let system = System::start_with(&[SERVED]).await?;
    // It does not know orders that were not placed.
    system.stop(Service::Orders).await?;
    let (order_id, draft) = (Uuid::now_v7().to_string(), Draft::of("MUG", 2));

    let first = process(&system, &order_id, &draft).await?;
    let again = process(&system, &order_id, &draft).await?;

    assert_eq!([first, again], [OrderStatus::Fulfilled; 2]);
    assert_eq!(system.stock("MUG").await?.shipped, 2);
    let topic = system.topic(PROCESSING_EVENTS);
    let published = eventually("the outcome is published", async || {
        let records = topic.records_about(&order_id).await?;
        let types = records.iter().filter_map(|record| record.header("ce_type"));
        let types: Vec<_> = types.map(str::to_owned).collect();
        Ok((types.len() >= 3).then_some(types))
    })
    .await?;
    let expected = ["stock-reserved", "payment-captured", "order-fulfilled"];
    assert_eq!(
        published,
        expected.map(|name| format!("com.example.processing.{name}.v1"))
    );
    system.discard().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_for_an_order_that_its_event_has_ended_replies_with_that_outcome() -> Result<()> {
    let system = System::start_with(&[SERVED]).await?;
    let draft = Draft::of("MUG", 2);
    let order = system.place_order(&draft).await?;
    system.watch_until_final(&order.order_id).await?;

    let outcome = process(&system, &order.order_id, &draft).await?;

    assert_eq!(outcome, OrderStatus::Fulfilled);
    assert_eq!(system.stock("MUG").await?.shipped, 2);
    system.finish().await
}
