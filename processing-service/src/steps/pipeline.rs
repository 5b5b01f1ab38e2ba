//! The dependencies of the steps, and their error.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use service::backoff::Backoff;
use service::crash_points::Injected;

use crate::domain::{Order, OrderId, SagaEvent, SagaState};
use crate::payment::{GatewayUnavailable, PaymentGateway};
use crate::retention::Forgotten;
use crate::store::{Cause, OpenSaga, Opening, ProcessingStore, StoreError};

/// The dependencies of the steps.
#[derive(Clone)]
pub struct Pipeline {
    pub store: Arc<dyn ProcessingStore>,
    pub gateway: Arc<dyn PaymentGateway>,
    pub capture: CapturePolicy,
    /// Sagas of older orders may have been deleted: none is begun.
    pub sagas_kept: Duration,
}

impl Pipeline {
    /// Applies events to a saga in one commit. Returns its current state.
    pub(super) async fn advance(
        &self,
        order_id: OrderId,
        events: Vec<SagaEvent>,
        cause: &Cause,
    ) -> Result<SagaState, StepError> {
        let recorded = self.store.advance(order_id, events, cause.clone());
        Ok(recorded.await?.state())
    }

    /// Begins the saga of an order. Returns its current state.
    pub(super) async fn open(
        &self,
        order: &Order,
        opening: Opening,
        cause: &Cause,
    ) -> Result<SagaState, StepError> {
        let saga = OpenSaga::new(order, opening);
        Ok(self.store.open(saga, cause.clone()).await?.state())
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pipeline")
            .field("capture", &self.capture)
            .finish_non_exhaustive()
    }
}

/// Retries and timeout of calls to the payment provider.
#[derive(Clone, Copy, Debug)]
pub struct CapturePolicy {
    /// Capture attempts before the order is rejected, at least 1.
    pub attempts: u32,
    /// Timeout of one call.
    pub timeout: Duration,
    /// Waits between attempts.
    pub backoff: Backoff,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The step is not recorded, or it is not known whether it is.
    #[error("recording the step")]
    Store(#[from] StoreError),
    /// The provider did not confirm the refund; the order must not end before it does.
    #[error("refunding the payment")]
    Refund(#[from] GatewayUnavailable),
    /// Permanent: the saga of the order may have been deleted.
    #[error(transparent)]
    Forgotten(#[from] Forgotten),
    /// An injected fault: effects of the step may exist without their record.
    #[error("step interrupted")]
    Interrupted(#[from] Injected),
}

impl StepError {
    /// Value of the span attribute `error.type`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Refund(_) => "refund",
            Self::Forgotten(_) => "forgotten",
            Self::Interrupted(_) => "interrupted",
        }
    }
}
