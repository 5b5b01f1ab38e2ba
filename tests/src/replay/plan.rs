//! The plan of a replay: which orders, at which rate, and how long to wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::trouble::Trouble;
use crate::orders::OrderBook;

#[derive(Clone, Debug)]
pub struct ReplayPlan {
    /// The replicas of order-service, such as `http://127.0.0.1:50051`, used round robin.
    pub addresses: Vec<String>,
    pub orders: Arc<OrderBook>,
    /// Number of orders to place; the file is repeated if it has fewer.
    pub count: usize,
    /// Orders per second, sent on time without waiting for answers; `None`: as fast as the callers can.
    pub rate: Option<f64>,
    /// Maximum calls in flight.
    pub concurrency: usize,
    /// The journal for the audit.
    pub journal: PathBuf,
    pub wait_limits: WaitLimits,
    /// Failing payments in addition to those derived from the invoices.
    pub trouble: Trouble,
}

/// Timeouts. Both leave room for a crash and restart of every process.
#[derive(Clone, Copy, Debug)]
pub struct WaitLimits {
    /// From an order's first send to its confirmation, retries included.
    pub confirmation: Duration,
    /// From an order's confirmation to its final state.
    pub outcome: Duration,
}

impl Default for WaitLimits {
    fn default() -> Self {
        Self {
            confirmation: Duration::from_secs(60),
            outcome: Duration::from_secs(120),
        }
    }
}
