//! A repeated request takes effect once.

use anyhow::Result;
use auditor::Limits;
use proto::topics;
use tests::system::{Draft, Service, System, eventually};
use tonic::Code;
use tonic_types::StatusExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_returns_the_same_order() -> Result<()> {
    let system = System::start().await?;
    let draft = Draft::of("MUG", 2);
    let first = system.place_order(&draft).await?;

    let at_once = system.place_order(&draft).await?;
    system.watch_until_final(&first.order_id).await?;
    let afterwards = system.place_order(&draft).await?;

    assert_eq!(at_once.order_id, first.order_id);
    assert_eq!(afterwards.order_id, first.order_id);
    assert_eq!(system.list(0, "").await?.orders.len(), 1);
    assert_eq!(system.stock("MUG").await?.shipped, 2);
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_request_id_with_another_body_is_refused() -> Result<()> {
    let system = System::start().await?;
    let draft = Draft::of("MUG", 2);
    let first = system.place_order(&draft).await?;

    let refused = system.place_order(&draft.clone().and("LAMP", 1)).await;

    let status = refused.expect_err("another body");
    assert_eq!(status.code(), Code::AlreadyExists);
    let reason = status
        .get_details_error_info()
        .expect("an ErrorInfo")
        .reason;
    assert_eq!(reason, "REQUEST_ID_REUSED");
    system.watch_until_final(&first.order_id).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn redelivered_events_change_nothing() -> Result<()> {
    let system = System::start().await?;
    let order = system.place_order(&Draft::of("MUG", 2)).await?;
    let history = system.watch_until_final(&order.order_id).await?;

    let mut repeated = 0;
    for name in [topics::ORDER_EVENTS, topics::PROCESSING_EVENTS] {
        let topic = system.topic(name);
        for record in topic.records_about(&order.order_id).await? {
            topic.publish(&record).await?;
            repeated += 1;
        }
    }

    let consumed = [
        (topics::ORDER_EVENTS, Service::Processing),
        (topics::PROCESSING_EVENTS, Service::Orders),
    ];
    for (topic, group) in consumed {
        eventually("the repeated events are consumed", async || {
            let consumed = system.topic(topic).is_consumed_by(group).await?;
            Ok(consumed.then_some(()))
        })
        .await?;
    }
    assert_eq!(system.watch_until_final(&order.order_id).await?, history);
    assert_eq!(system.stock("MUG").await?.shipped, 2);
    let limits = Limits {
        wire_duplicates: Some(repeated),
        set_aside: Some(0),
        ..Limits::default()
    };
    system.finish_within(limits).await.map(drop)
}
