//! A simulated payment provider for demonstrations, tests and load. The token selects the behaviour, like card test
//! numbers.
//!
//! | token | behaviour |
//! |---|---|
//! | `tok_approved` | captured |
//! | `tok_declined`, and every token that is not in this table | declined |
//! | `tok_slow` | captured after two seconds |
//! | `tok_timeout_once` | the first call captures but never answers, later calls answer |
//! | `tok_unavailable` | fails as unavailable; nothing is captured |
//! | `tok_refund_stuck` | fails as unavailable; nothing is captured, and refunds fail for ten seconds from the first one |
//!
//! Its state lives in memory, for the last 100,000 orders, and is lost on restart. Capture ids are derived from the key and need no state.

use std::collections::{HashMap, VecDeque};
use std::future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use super::{CaptureError, CaptureRequest, GatewayUnavailable, PaymentGateway};
use crate::domain::{CaptureId, OrderId};

/// Response time of `tok_slow`: noticeable to a user, and below any sensible timeout.
const SLOW: Duration = Duration::from_secs(2);

/// How long refunds of `tok_refund_stuck` fail: longer than the in-memory retry time of an event in tests.
const REFUND_STUCK: Duration = Duration::from_secs(10);

/// Namespace of capture ids: a fixed random UUID, so that they cannot collide with ids derived elsewhere.
const CAPTURES: Uuid = Uuid::from_u128(0x3d1c_9a64_e0b7_4f58_8c21_7be4_94d0_f6a3);

/// Orders whose unusual course is remembered: some 10 MB. An event comes again long before as many others have followed.
const MAX_REMEMBERED: usize = 100_000;

/// A value for each of the last orders.
#[derive(Debug)]
struct Remembered<V> {
    values: HashMap<OrderId, V>,
    oldest_first: VecDeque<OrderId>,
}

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self {
            values: HashMap::new(),
            oldest_first: VecDeque::new(),
        }
    }
}

impl<V: Default> Remembered<V> {
    /// Returns false if the order is known.
    fn insert(&mut self, key: OrderId) -> bool {
        if self.values.contains_key(&key) {
            return false;
        }
        if self.oldest_first.len() >= MAX_REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.values.remove(&oldest);
        }
        self.values.insert(key, V::default());
        self.oldest_first.push_back(key);
        true
    }
}

#[derive(Debug)]
pub struct SimulatedGateway {
    latency: Duration,
    unanswered: Mutex<Remembered<()>>,
    refunded: Mutex<Remembered<()>>,
    /// Orders with stuck refunds; the value is the end of the failures, set at the first refund.
    stuck: Mutex<Remembered<Option<Instant>>>,
}

impl SimulatedGateway {
    /// `latency` is the time before every answer.
    pub fn new(latency: Duration) -> Self {
        Self {
            latency,
            unanswered: Mutex::default(),
            refunded: Mutex::default(),
            stuck: Mutex::default(),
        }
    }

    fn is_stuck(&self, key: OrderId) -> bool {
        let mut stuck = lock(&self.stuck);
        stuck.values.get_mut(&key).is_some_and(|until| {
            let until = until.get_or_insert_with(|| Instant::now() + REFUND_STUCK);
            Instant::now() < *until
        })
    }
}

#[async_trait]
impl PaymentGateway for SimulatedGateway {
    async fn capture(&self, request: &CaptureRequest) -> Result<CaptureId, CaptureError> {
        tokio::time::sleep(self.latency).await;
        if lock(&self.refunded).values.contains_key(&request.key) {
            return Err(CaptureError::Declined);
        }
        match request.token.expose() {
            "tok_approved" => {}
            "tok_slow" => tokio::time::sleep(SLOW).await,
            "tok_timeout_once" => {
                let first = lock(&self.unanswered).insert(request.key);
                if first {
                    future::pending::<()>().await;
                }
            }
            "tok_unavailable" => return Err(GatewayUnavailable.into()),
            "tok_refund_stuck" => {
                lock(&self.stuck).insert(request.key);
                return Err(GatewayUnavailable.into());
            }
            _ => return Err(CaptureError::Declined),
        }
        Ok(capture_id(request.key))
    }

    async fn refund(&self, key: OrderId) -> Result<(), GatewayUnavailable> {
        tokio::time::sleep(self.latency).await;
        if self.is_stuck(key) {
            return Err(GatewayUnavailable);
        }
        lock(&self.refunded).insert(key);
        Ok(())
    }
}

fn capture_id(key: OrderId) -> CaptureId {
    let id = Uuid::new_v5(&CAPTURES, key.as_uuid().as_bytes());
    CaptureId::new(&format!("cap_{}", id.simple()))
}

/// Ignores poisoning: every insertion leaves the map consistent.
fn lock<T>(keys: &Mutex<T>) -> MutexGuard<'_, T> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Currency, Money, PaymentToken};

    fn request(token: &str) -> CaptureRequest {
        CaptureRequest {
            key: OrderId::new(Uuid::from_u128(1)),
            amount: Money::new(Currency::parse("GBP").unwrap(), 255).unwrap(),
            token: PaymentToken::parse(token).unwrap(),
        }
    }

    async fn capture(gateway: &SimulatedGateway, token: &str) -> Result<CaptureId, CaptureError> {
        gateway.capture(&request(token)).await
    }

    #[tokio::test]
    async fn the_token_decides() {
        let gateway = SimulatedGateway::new(Duration::ZERO);

        assert!(capture(&gateway, "tok_approved").await.is_ok());
        assert_eq!(
            capture(&gateway, "tok_declined").await,
            Err(CaptureError::Declined)
        );
        assert_eq!(
            capture(&gateway, "tok_of_somebody_else").await,
            Err(CaptureError::Declined)
        );
        assert_eq!(
            capture(&gateway, "tok_unavailable").await,
            Err(GatewayUnavailable.into())
        );
    }

    #[tokio::test]
    async fn one_key_is_one_capture() {
        let gateway = SimulatedGateway::new(Duration::ZERO);

        let first = capture(&gateway, "tok_approved").await.unwrap();
        let second = capture(&gateway, "tok_approved").await.unwrap();

        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn a_capture_that_was_not_answered_is_answered_when_repeated() {
        let gateway = SimulatedGateway::new(Duration::ZERO);

        let limit = Duration::from_millis(20);
        let first = tokio::time::timeout(limit, capture(&gateway, "tok_timeout_once")).await;
        let second = capture(&gateway, "tok_timeout_once").await;

        assert!(first.is_err());
        assert!(second.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refund_that_is_stuck_is_made_when_its_time_has_come() {
        let gateway = SimulatedGateway::new(Duration::ZERO);
        let key = request("tok_refund_stuck").key;

        let captured = capture(&gateway, "tok_refund_stuck").await;
        let first = gateway.refund(key).await;
        tokio::time::advance(REFUND_STUCK).await;
        let later = gateway.refund(key).await;

        assert_eq!(captured, Err(GatewayUnavailable.into()));
        assert!(first.is_err());
        assert!(later.is_ok());
    }

    #[tokio::test]
    async fn nothing_is_captured_after_a_refund() {
        let gateway = SimulatedGateway::new(Duration::ZERO);
        let key = request("tok_approved").key;

        gateway.refund(key).await.unwrap();

        assert_eq!(
            capture(&gateway, "tok_approved").await,
            Err(CaptureError::Declined)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_provider_remembers_a_bounded_number_of_orders() {
        let gateway = SimulatedGateway::new(Duration::ZERO);

        for number in 0..=MAX_REMEMBERED as u128 {
            lock(&gateway.refunded).insert(OrderId::new(Uuid::from_u128(number)));
        }

        let refunded = lock(&gateway.refunded);
        assert_eq!(refunded.values.len(), MAX_REMEMBERED);
        assert_eq!(refunded.oldest_first.len(), MAX_REMEMBERED);
        assert!(
            !refunded
                .values
                .contains_key(&OrderId::new(Uuid::from_u128(0)))
        );
    }
}
