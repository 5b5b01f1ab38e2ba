//! Waits for a condition instead of sleeping.

use std::time::Duration;

/// A condition that is not met by then fails the test.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn eventually(condition_name: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(TIMEOUT, wait).await;
    assert!(in_time.is_ok(), "timed out, condition: {condition_name}");
}
