//! Reading orders: watching after a version, listing page by page, and orders that do not exist.

use anyhow::Result;
use tests::system::{Draft, System, statuses};
use tonic::Code;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn watching_resumes_after_the_last_version_seen() -> Result<()> {
    let system = System::start().await?;
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    let whole = system.watch_until_final(&order.order_id).await?;

    let rest = system.watch_until_final_after(&order.order_id, 2).await?;
    let nothing = system.watch_until_final_after(&order.order_id, 4).await?;

    assert_eq!(rest, whole[2..]);
    assert_eq!(nothing, []);
    let versions: Vec<i64> = whole.iter().map(|entry| entry.version).collect();
    assert_eq!(versions, [1, 2, 3, 4]);
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_watchers_see_the_same_history() -> Result<()> {
    let system = System::start().await?;
    let draft = Draft::of("MUG", 1).paid_with("tok_slow");
    let order = system.place_order(&draft).await?;

    let (one, other) = tokio::try_join!(
        system.watch_until_final(&order.order_id),
        system.watch_until_final(&order.order_id),
    )?;

    assert_eq!(statuses(&one), statuses(&other));
    assert_eq!(one, system.watch_until_final(&order.order_id).await?);
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_list_every_order_once_newest_first() -> Result<()> {
    let system = System::start().await?;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(system.place_order(&Draft::of("MUG", 1)).await?.order_id);
    }

    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let page = system.list(2, &token).await?;
        pages.push(page.orders);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }

    let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 2, 1]);
    let listed: Vec<String> = pages
        .into_iter()
        .flatten()
        .map(|order| order.order_id)
        .collect();
    placed.reverse();
    assert_eq!(listed, placed);
    for order_id in &placed {
        system.watch_until_final(order_id).await?;
    }
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_does_not_exist_is_not_found() -> Result<()> {
    let system = System::start().await?;
    let order_id = Uuid::now_v7().to_string();

    let read = system.order(&order_id).await.expect_err("no such order");
    let cancelled = system.cancel(&order_id).await.expect_err("no such order");

    assert_eq!(read.code(), Code::NotFound);
    assert_eq!(cancelled.code(), Code::NotFound);
    system.finish().await
}
