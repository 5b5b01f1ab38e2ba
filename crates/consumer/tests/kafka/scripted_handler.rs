//! A handler that fails for scripted payloads, and the conditions that tests wait for.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};

use mock_kafka::retry_store::TestRetryStore;
use mock_kafka::{Broker, eventually};

/// Fails or rejects the payloads that the test has named, and records its calls.
#[derive(Default)]
pub(crate) struct ScriptedHandler {
    pub(crate) failing: Mutex<HashSet<String>>,
    pub(crate) rejected: Mutex<HashSet<String>>,
    tried: Mutex<Vec<String>>,
    handled: Mutex<Vec<String>>,
}

impl ScriptedHandler {
    pub(crate) fn failing(payloads: &[&str]) -> Arc<Self> {
        let handler = Self::default();
        handler.failing.lock().unwrap().extend(owned(payloads));
        Arc::new(handler)
    }

    pub(crate) fn rejecting(payloads: &[&str]) -> Arc<Self> {
        let handler = Self::default();
        handler.rejected.lock().unwrap().extend(owned(payloads));
        Arc::new(handler)
    }

    /// From now on everything is handled.
    pub(crate) fn recover(&self) {
        self.failing.lock().unwrap().clear();
        self.rejected.lock().unwrap().clear();
    }

    pub(crate) fn times_tried(&self, payload: &str) -> usize {
        let tried = self.tried.lock().unwrap();
        tried.iter().filter(|tried| *tried == payload).count()
    }

    pub(crate) fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }
}

fn owned(payloads: &[&str]) -> Vec<String> {
    payloads.iter().map(ToString::to_string).collect()
}

#[async_trait]
impl Handler for ScriptedHandler {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        let payload = String::from_utf8(delivery.payload.clone().unwrap()).unwrap();
        self.tried.lock().unwrap().push(payload.clone());
        if self.rejected.lock().unwrap().contains(&payload) {
            return Err(Failure::reject("never"));
        }
        if self.failing.lock().unwrap().contains(&payload) {
            return Err(Failure::retry("not yet"));
        }
        self.handled.lock().unwrap().push(payload);
        Ok(())
    }
}

fn states<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    let owned = |(payload, state): (&str, &str)| (payload.to_owned(), state.to_owned());
    expected.into_iter().map(owned).collect()
}

pub(crate) async fn until_stored<const N: usize>(
    retry_store: &TestRetryStore,
    expected: [(&str, &str); N],
) {
    let expected = states(expected);
    eventually(&format!("in the retry store: {expected:?}"), async || {
        retry_store.stored().await == expected
    })
    .await;
}

pub(crate) async fn until_handled(handler: &ScriptedHandler, payloads: &[&str]) {
    eventually(&format!("handled: {payloads:?}"), async || {
        handler.handled() == payloads
    })
    .await;
}

pub(crate) async fn until_committed(broker: &Broker, partition: i32, offset: i64) {
    eventually("it is committed", async || {
        broker.committed(partition).await == offset
    })
    .await;
}
